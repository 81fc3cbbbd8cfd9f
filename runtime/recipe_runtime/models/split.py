"""Adapters that begin with a part of the weights: PiSSA (arXiv:2404.02948) and OLoRA (arXiv:2406.01775).

A weight W, taken as a matrix of outputs × inputs, gives its first part to the adapter, and the rest is frozen:
W = R + (alpha / rank) · B₀ A₀. The parts of a weight are not found twice alike on every machine, so A₀ and B₀ are kept in
each checkpoint, and R is made of them. The result of training is an adapter of the weights as they were, of twice the rank:
R + s B A = W + s (B A - B₀ A₀) = W + s [B, -B₀] [A; A₀].
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from recipe_schema.sections.model import Lora


SPLITTING = ("pissa", "olora")
"""The values of ``model.lora.init`` that split weights."""

Halves = Mapping[str, tuple[Tensor, Tensor]]
"""A₀, (rank, inputs), and B₀, (outputs, rank), of each layer by its name. They are on the CPU, in fp32."""

_A, _B = ".lora_A.", ".lora_B."


def first_halves(model: nn.Module, layers: Iterable[str], settings: Lora) -> Halves:
    """Find what the adapter begins with.

    PiSSA takes the largest singular values, W ≈ U S Vᵀ, with A₀ = √(S / s) Vᵀ and B₀ = U √(S / s). OLoRA takes the first
    columns of an orthogonal basis, W = Q R, with A₀ = R and B₀ = Q.

    Args:
        model: The model, with its weights as they were published.
        layers: The names of the layers.
        settings: Rank, alpha, and which of both.
    """
    scale = settings.alpha / settings.rank
    return {name: _halves(_matrix(model, name), settings.rank, scale, settings.init) for name in layers}


def halves_of(split: Mapping[str, Tensor]) -> Halves:
    """Return the halves that a checkpoint has kept, from its tensors by the names of the adapter's parameters."""
    return {
        name.partition(_A)[0]: (
            value.detach().cpu().flatten(1),
            split[name.replace(_A, _B)].detach().cpu().flatten(1),
        )
        for name, value in split.items()
        if _A in name
    }


@torch.no_grad()
def take_out(model: nn.Module, halves: Halves, settings: Lora) -> None:
    """Leave in the weights what the adapter does not begin with."""
    scale = settings.alpha / settings.rank
    for name, (first, second) in halves.items():
        weight = model.get_submodule(name).weight
        assert isinstance(weight, nn.Parameter), "layers that have an adapter have a weight"
        weight.data = weight.data - scale * (second @ first).view_as(weight)


@torch.no_grad()
def put_in(model: nn.Module, halves: Halves) -> None:
    """Let a model's adapter begin with its halves."""
    for name, parameter in model.named_parameters():
        for part, index in ((_A, 0), (_B, 1)):
            if part in name and (layer := name.partition(part)[0]) in halves:
                parameter.copy_(halves[layer][index].view_as(parameter))


def whole_change(weights: Mapping[str, Tensor], split: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the adapter, of twice the rank, that does to the weights as they were what training has done."""
    return {
        name: torch.cat([value, split[name]]) if _A in name else torch.cat([value, -split[name]], dim=1)
        for name, value in weights.items()
    }


def _matrix(model: nn.Module, name: str) -> Tensor:
    weight = model.get_submodule(name).weight
    assert isinstance(weight, nn.Parameter), "layers that have an adapter have a weight"
    return weight.detach().cpu().float().flatten(1)


def _halves(weight: Tensor, rank: int, scale: float, init: str) -> tuple[Tensor, Tensor]:
    if init == "pissa":
        outputs, values, inputs = torch.linalg.svd(weight, full_matrices=False)
        root = (values[:rank] / scale).sqrt()
        first, second = root[:, None] * inputs[:rank], outputs[:, :rank] * root
    else:
        basis, rest = torch.linalg.qr(weight)
        first, second = rest[:rank], basis[:, :rank]
    # A layer may be narrower than the rank: what is left of the adapter begins as zero.
    missing = rank - first.shape[0]
    return nn.functional.pad(first, (0, 0, 0, missing)), nn.functional.pad(second, (0, missing))
