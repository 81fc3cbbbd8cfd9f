"""LoKr (arXiv:2309.14859): the change of a weight is a Kronecker product, W x + (alpha / rank) · (W₁ ⊗ W₂) x, through peft.

W₁ is the smaller factor, and begins as zero. W₂ is a product of two matrices of the rank, where that is smaller. diffusers
reads such an adapter into a transformer (``load_lora_adapter``), and not yet into the pipeline.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from peft import LoKrConfig
from peft.tuners.lokr.layer import LoKrLayer
from torch import Tensor, nn

from recipe_schema.sections.model import Lora


PARTS = (".lokr_w1.", ".lokr_w2.", ".lokr_w2_a.", ".lokr_w2_b.")
"""What stands in the names of its parameters."""

STORED = ("r", "alpha", "decompose_factor", "peft_type")
"""What an adapter's file says of it, beside its layers."""

_SMALL = ".lokr_w1."


def lokr_config(settings: Lora, layers: Iterable[str]) -> LoKrConfig:
    """Describe the adapter for peft."""
    return LoKrConfig(
        r=settings.rank,
        alpha=settings.alpha,  # type: ignore[arg-type]  # peft takes both
        decompose_factor=settings.lokr_factor,
        target_modules=list(layers),
        # peft leaves a layer out where a random number from 0 on is not above this; 0 would be one in 17 million.
        module_dropout=-1.0,
    )


def first_lokr_values(name: str, parameter: Tensor, draw: torch.Generator) -> Tensor:
    """Draw how a parameter begins, as peft does: W₁ as zero, W₂ uniform as a linear layer begins."""
    if _SMALL in name:
        return torch.zeros(parameter.shape)
    return nn.init.kaiming_uniform_(torch.empty(parameter.shape), a=math.sqrt(5), generator=draw)


def keep_autocast(model: nn.Module) -> None:
    """Let layers with an adapter give what they gave without: peft gives back the precision of their input."""
    for module in model.modules():
        if isinstance(module, LoKrLayer):
            module.register_forward_pre_hook(_rounded)


def _rounded(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    x: Tensor = inputs[0]
    kind = x.device.type
    return (x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x, *inputs[1:])
