"""Uploads to the Hugging Face hub: the export at the end, and checkpoints on the way."""
