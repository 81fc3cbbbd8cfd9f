"""The models of Sana Video: the only code that imports diffusers and transformers."""
