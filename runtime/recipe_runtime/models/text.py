"""Text embeddings, by diffusers' own ``SanaVideoPipeline.encode_prompt``: what is sampled is what was trained.

A text with the instruction is encoded as ``instruction + text``; the first token and the last 299 are kept. The
null caption and the negative prompt are encoded without it. Each text goes through the encoder alone, so that
its embedding does not depend on its neighbors.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.sana_video.pipeline_sana_video import SanaVideoPipeline
from safetensors import SafetensorError
from torch import Tensor
from transformers import Gemma2Model, GemmaTokenizer

from recipe_runtime.errors import ModelError
from recipe_runtime.models.dtypes import DTYPES
from recipe_runtime.models.source import component_dir


class TextEncoder:
    """Gemma 2 with its tokenizer, loaded and ready.

    Attributes:
        encoder: Gemma 2 itself.

    Args:
        home: A model's directory in diffusers format.
        dtype: Precision of the encoder, ``fp32`` or ``bf16``.
        device: Where it runs.

    Raises:
        ModelError: Tokenizer or encoder can't be loaded.
    """

    def __init__(self, home: Path, dtype: str, device: torch.device) -> None:
        folders = component_dir(home, "tokenizer"), component_dir(home, "text_encoder")
        try:
            tokenizer = GemmaTokenizer.from_pretrained(folders[0], local_files_only=True)
            encoder = Gemma2Model.from_pretrained(folders[1], dtype=DTYPES[dtype], local_files_only=True)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"the text encoder in {home} can't be loaded: {error}; check that the download is complete"
            ) from error
        self.encoder = encoder.eval().requires_grad_(False).to(device)
        self._device = device
        unused: Any = None  # encoding a prompt needs neither of these, and the pipeline takes None for them
        self._pipeline = SanaVideoPipeline(
            tokenizer=tokenizer, text_encoder=encoder, vae=unused, transformer=unused, scheduler=unused
        )

    def computes_on(self, device: torch.device) -> None:
        """Say where texts are encoded, if weights come there when they are needed."""
        self._device = device

    @torch.no_grad()
    def encode(self, text: str, *, instruction: str | None, max_length: int) -> Tensor:
        """Encode one text.

        Args:
            text: A caption, prompt, null caption or negative prompt.
            instruction: What is put before it; None or an empty text for nothing.
            max_length: Most tokens that are kept.

        Returns:
            Embeddings of shape (tokens, channels) in the encoder's precision, on the CPU, without padding.
        """
        embeds, mask, *_ = self._pipeline.encode_prompt(
            text,
            do_classifier_free_guidance=False,
            device=self._device,
            max_sequence_length=max_length,
            complex_human_instruction=[instruction] if instruction else None,
        )
        length = int(mask[0].sum())
        assert bool(mask[0, :length].all()), "padding is on the right, so the tokens that count come first"
        return embeds[0, :length].to("cpu")
