"""Blocks that torch compiles (`torch.compile`): each block by itself, for each shape by itself.

All blocks are alike, so that one program serves them all. Shapes are taken as they are: with sizes left open, the compiler
of torch 2.13 fails on this model. Each bucket is compiled when its first batch comes.
"""

from typing import Any

import torch
from diffusers.models.transformers.transformer_sana_video import SanaVideoTransformer3DModel


_PROGRAMS = 4096
"""Most programs of a block. Beyond torch's own limit of 8, a further shape would be computed without any, and slowly."""


def compile_blocks(model: SanaVideoTransformer3DModel, mode: str) -> None:
    """Let torch compile the blocks of a transformer.

    Args:
        model: The transformer.
        mode: A mode of `torch.compile`.
    """
    from torch._dynamo import config  # noqa: PLC0415, PLC2701 - half a second, for those who ask for it

    config.recompile_limit = _PROGRAMS
    config.accumulated_recompile_limit = _PROGRAMS
    config.fail_on_recompile_limit_hit = True
    blocks: Any = model.transformer_blocks
    for block in blocks:
        block.compile(dynamic=False, mode=mode)


def begin_pass() -> None:
    """Tell CUDA graphs that what the last forward pass gave is no longer needed."""
    torch.compiler.cudagraph_mark_step_begin()
