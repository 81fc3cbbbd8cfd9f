"""How weights that are not trained are stored: as they are, in the precision that computes, or quantized."""

from collections.abc import Mapping

import torch
from optimum.quanto import QModuleMixin, freeze, qfloat8, qint2, qint4, qint8, qtype, quantize
from torch import Tensor, nn

from recipe_runtime.models.packed import FORMATS, pack_layers


QUANTO: Mapping[str, qtype] = {
    "int8-quanto": qint8,
    "int4-quanto": qint4,
    "int2-quanto": qint2,
    "fp8-quanto": qfloat8,
}
"""The number formats of optimum-quanto, by the names that settings use."""

COMPILED = ("int4-quanto", "int2-quanto")
"""Formats that several weights share a byte in. quanto compiles the kernel that takes them apart, at its first use."""


def store_in_bf16(model: nn.Module) -> None:
    """Store the frozen weights of linear layers and convolutions in bf16, and all else as it is.

    Under bf16 autocast these layers round their weights to bf16 each time that they compute: stored that way, they
    compute the same bits. Norms and tables are added and multiplied in fp32 there, and stay fp32.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
            for parameter in module.parameters(recurse=False):
                if not parameter.requires_grad:
                    parameter.data = parameter.data.to(torch.bfloat16)


def quantize_weights(model: nn.Module, precision: str, *, layers: str) -> None:
    """Store the weights of linear layers and convolutions in fewer bits; they compute in the precision they had.

    Args:
        model: The model. Its weights are frozen.
        precision: One of `QUANTO`, or of `recipe_runtime.models.packed.FORMATS`.
        layers: Which layers, as a pattern of names in which ``*`` stands for anything.
    """
    if precision in FORMATS:
        pack_layers(model, precision, layers=layers)
        return
    quantize(model, weights=QUANTO[precision], include=layers)
    freeze(model)
    model.requires_grad_(False)  # freezing made new parameters, which want gradients
    for module in model.modules():
        if isinstance(module, QModuleMixin):
            module.register_forward_pre_hook(_fit)


def _fit(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Give a layer its input in its own precision, which autocast does not for quantized weights, and in one piece."""
    scale: Tensor = module.weight._scale  # type: ignore[union-attr, assignment]  # noqa: SLF001 - quanto has no other
    return (inputs[0].to(scale.dtype).contiguous(), *inputs[1:])
