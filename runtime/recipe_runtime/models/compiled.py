"""Blocks that torch compiles (`torch.compile`): one program for all blocks, which are alike, and one for each shape.

Shapes are taken as they are: with sizes left open, the compiler of torch 2.13 fails on this model. Texts are therefore padded
to their greatest length. Compiled is what is trained; clips are drawn and measured, and rollouts made, as without, so that a
shape that is used a few times costs no compilation. Hooks stay outside of the programs.
"""

import importlib.util
import shutil
from typing import Any

import torch
from diffusers.models.transformers.transformer_sana_video import SanaVideoTransformer3DModel
from torch import nn

from recipe_runtime.errors import ModelError


GRAPHS = ("reduce-overhead", "max-autotune")
"""Modes that record CUDA graphs, on CUDA."""

_PROGRAMS = 4096
"""Most programs of a block. Beyond torch's own limit of 8, a further shape would be computed without any, and slowly."""


def check_compiler(device: torch.device, mode: str) -> None:
    """Check that there is what `torch.compile` needs: a C++ compiler, and Triton on CUDA.

    Raises:
        ModelError: It is missing.
    """
    missing = None
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        missing = "the package triton"
    elif not any(map(shutil.which, ("g++", "c++", "clang++"))):
        missing = "a C++ compiler (g++ or clang++ on the PATH)"
    if missing is not None:
        raise ModelError(
            f"`hardware.compile: {mode}` needs {missing} on this machine; install it, or set `hardware.compile: no`"
        )


def compile_blocks(model: SanaVideoTransformer3DModel, mode: str, device: torch.device) -> None:
    """Let torch compile what the blocks of a transformer compute in training.

    Args:
        model: The transformer.
        mode: A mode of `torch.compile`.
        device: Where it computes.
    """
    from torch._dynamo import config  # noqa: PLC0415 - half a second, for those who ask for it

    config.recompile_limit = _PROGRAMS
    config.accumulated_recompile_limit = _PROGRAMS
    config.fail_on_recompile_limit_hit = True
    blocks: Any = model.transformer_blocks
    for block in blocks:
        _compile(block, mode)
    if mode in GRAPHS and device.type == "cuda":
        # What the last forward pass gave is no longer needed when the next one begins.
        model.register_forward_pre_hook(lambda *_: torch.compiler.cudagraph_mark_step_begin())


def _compile(block: nn.Module, mode: str) -> None:
    plain = block.forward
    compiled = torch.compile(plain, dynamic=False, mode=mode)

    def forward(*arguments: Any, **options: Any) -> Any:
        return (compiled if block.training else plain)(*arguments, **options)

    block.forward = forward  # its hooks stay, and are not compiled
