"""What an optimizer remembers, as tensors by name: exactly what is saved, and how it is put back."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer


Named = Mapping[str, Tensor]
"""The weights that are trained, by name."""


def memory_of(optimizer: Optimizer, named: Named, group_memory: Sequence[str]) -> dict[str, Tensor]:
    """Return all that an optimizer remembers.

    ``exp_avg.NAME`` is the memory ``exp_avg`` of a weight; quantized ones are ``exp_avg-codes.NAME`` and so on. ``group0.k``
    is the memory ``k`` of the first group. Numbers are tensors of 64 bits. Tensors of the optimizer are the live ones.

    Args:
        optimizer: The optimizer.
        named: The weights that it trains.
        group_memory: What it remembers of a group.
    """
    of_weights = {
        f"{kind}{part}.{name}": tensor
        for name, parameter in named.items()
        for kind, value in optimizer.state.get(parameter, {}).items()
        for part, tensor in _tensors(value)
    }
    of_groups = {
        f"group{index}.{kind}": tensor
        for index, group in enumerate(optimizer.param_groups)
        for kind in group_memory
        if kind in group
        for _, tensor in _tensors(group[kind])
    }
    return {**of_weights, **of_groups}


def make_room(optimizer: Optimizer, named: Named) -> None:
    """Let an optimizer make the memory that it has after a step, with values that are of no use.

    Each library makes it in its first step, in a form that it alone knows. So it takes a step on gradients of zero, after
    which weights and memory must be overwritten.
    """
    for parameter in named.values():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@torch.no_grad()
def restore(optimizer: Optimizer, named: Named, group_memory: Sequence[str], saved: Mapping[str, Tensor]) -> None:
    """Put back what `memory_of` gave, bit for bit. There is room for it, see `make_room`, and names and shapes fit."""
    for name, parameter in named.items():
        state = optimizer.state[parameter]
        for kind, value in state.items():
            state[kind] = _restored(value, {part: saved[f"{kind}{part}.{name}"] for part, _ in _tensors(value)})
    for index, group in enumerate(optimizer.param_groups):
        for kind in group_memory:
            group[kind] = _restored(group[kind], {"": saved[f"group{index}.{kind}"]})


def _tensors(value: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors that make up a memory, each with a suffix for its name."""
    if isinstance(value, Tensor) and hasattr(value, "__tensor_flatten__"):
        parts, _ = value.__tensor_flatten__()
        yield from ((f"-{part}", getattr(value, part)) for part in parts)
    elif isinstance(value, Tensor):
        yield "", value.detach()
    else:
        yield "", torch.tensor(value, dtype=torch.int64 if isinstance(value, int) else torch.float64)


def _restored(value: Any, saved: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, Tensor):
        return type(value)(saved[""].item())
    for part, tensor in _tensors(value):
        tensor.copy_(saved[part])
    return value
