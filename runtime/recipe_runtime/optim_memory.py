"""What an optimizer remembers, as tensors by name: exactly what is saved, and how it is put back."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer


Named = Mapping[str, Tensor]
"""The weights that are trained, by name."""


def memory_of(optimizer: Optimizer, named: Named, group_memory: Sequence[str]) -> dict[str, Tensor]:
    """Return all that an optimizer remembers.

    ``exp_avg.NAME`` is the memory ``exp_avg`` of a weight, ``group0.k`` the memory ``k`` of the first group. Of a quantized
    one ``exp_avg-codes.NAME`` and its like are what it is made of. Numbers are tensors of 64 bits. Tensors of the optimizer
    are the live ones, but for what several weights share.

    Args:
        optimizer: The optimizer.
        named: The weights that it trains.
        group_memory: What it remembers of a group.
    """
    of_weights = {
        f"{part}.{name}": _as_tensor(value)
        for name, parameter in named.items()
        for kind, whole in optimizer.state.get(parameter, {}).items()
        for part, value in _plain(kind, whole).items()
    }
    of_groups = {
        f"group{index}.{kind}": _as_tensor(group[kind])
        for index, group in enumerate(optimizer.param_groups)
        for kind in group_memory
        if kind in group
    }
    return _apart({**of_weights, **of_groups})


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
        for kind, whole in state.items():
            if _is_quantized(whole):
                for part, value in _plain(kind, whole).items():
                    value.copy_(saved[f"{part}.{name}"])
            else:
                state[kind] = _restored(whole, saved[f"{kind}.{name}"])
    for index, group in enumerate(optimizer.param_groups):
        for kind in group_memory:
            group[kind] = _restored(group[kind], saved[f"group{index}.{kind}"])


def _is_quantized(value: Any) -> bool:
    """Tell whether a memory is made of several tensors, as torchao's are."""
    return hasattr(value, "__tensor_flatten__")


def _plain(kind: str, value: Any) -> dict[str, Any]:
    """Return a memory by its name, or of a quantized one what it is made of: codes, scales and the codes' values."""
    if not _is_quantized(value):
        return {kind: value}
    parts, _ = value.__tensor_flatten__()
    return {f"{kind}-{part}": getattr(value, part) for part in parts}


def _as_tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    return torch.tensor(value, dtype=torch.int64 if isinstance(value, int) else torch.float64)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy what shares its storage with a tensor before it, such as bitsandbytes' tables: files hold each by itself."""
    owners: dict[int, str] = {}
    return {
        name: tensor if owners.setdefault(tensor.data_ptr(), name) == name else tensor.clone()
        for name, tensor in tensors.items()
    }


def _restored(value: Any, saved: Tensor) -> Any:
    return value.copy_(saved) if isinstance(value, Tensor) else type(value)(saved.item())
