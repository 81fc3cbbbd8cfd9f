"""Gradient checkpointing (arXiv:1604.06174): blocks whose insides are computed again in the backward pass."""

from typing import Any

from diffusers.models.transformers.transformer_sana_video import SanaVideoTransformer3DModel
from torch import nn
from torch.utils.checkpoint import checkpoint


def enable_checkpointing(model: SanaVideoTransformer3DModel, *, interval: int) -> None:
    """Let a transformer recompute the first of every ``interval`` blocks, and keep what the others need.

    Random numbers, such as those of dropout, are drawn alike both times.
    """
    blocks: Any = model.transformer_blocks
    places = {block: index for index, block in enumerate(blocks)}

    def call(block: nn.Module, *arguments: Any) -> Any:
        if places[block] % interval:
            return block(*arguments)
        return checkpoint(block.__call__, *arguments, use_reentrant=False)

    model.enable_gradient_checkpointing(call)
