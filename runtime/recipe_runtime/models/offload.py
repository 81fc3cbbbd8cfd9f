"""Frozen weights that wait in main memory or in files, and come to the accelerator when they are needed.

This is group offloading as in diffusers, for training. diffusers' own hooks give a weight other data when its group has
computed; the backward pass then finds it in the wrong place, and a weight that is trained loses its updates to the copy.
Here a layer gets another parameter: what the backward pass still needs is kept by autograd, and weights that are trained
are never moved. A block that is recomputed in the backward pass needs nothing kept.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from recipe_runtime.errors import RunError


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """The place of a frozen weight: a layer, and the weight's name in it."""

    layer: nn.Module
    name: str

    def get(self) -> nn.Parameter:
        """Return the weight that is in the place."""
        parameter = self.layer._parameters[self.name]  # noqa: SLF001 - the weight is exchanged, and not its data
        assert parameter is not None, "only places that are taken are made"
        return parameter

    def put(self, value: Tensor) -> None:
        """Put another weight into the place."""
        self.layer._parameters[self.name] = nn.Parameter(value, requires_grad=False)  # noqa: SLF001 - as above


Source = Callable[[], Sequence[Tensor]]
"""Gives the weights of a group: in main memory, or read from a file."""


class Group:
    """Frozen weights that come and go together.

    Args:
        slots: Their places.
        source: Where they wait.
        resting: What is in the places meanwhile.
    """

    def __init__(self, slots: Sequence[Slot], source: Source, resting: Sequence[Tensor]) -> None:
        self.slots = slots
        self._source = source
        self._resting = resting

    def fetch(self, device: torch.device, *, ahead: bool) -> list[Tensor]:
        """Return copies on a device. Those that are fetched ahead need not be there yet."""
        return [tensor.to(device, non_blocking=ahead, copy=True) for tensor in self._source()]

    def put(self, weights: Iterable[Tensor]) -> None:
        """Let the layers compute with these weights."""
        for slot, weight in zip(self.slots, weights, strict=True):
            slot.put(weight)

    def rest(self) -> None:
        """Take the weights away from the layers."""
        self.put(self._resting)


class Offloader:
    """Keeps one group on a device, and with a stream the next one as well.

    Args:
        groups: All groups, in the order in which a forward pass needs them.
        device: Where they compute.
        stream: Fetches the next group while one computes; None fetches each when it is needed.
    """

    def __init__(self, groups: Sequence[Group], device: torch.device, stream: "torch.cuda.Stream | None") -> None:
        self._groups = groups
        self._device = device
        self._stream = stream
        self._here = -1
        self._ahead: tuple[int, list[Tensor]] | None = None
        for group in groups:
            group.rest()

    def need(self, index: int) -> None:
        """See to it that a group is there, and that no other one is."""
        if index == self._here:
            return
        if self._here >= 0:
            self._groups[self._here].rest()
        self._groups[index].put(self._take(index))
        following = self._after(index)
        self._here = index
        if self._stream is not None and following is not None:
            with torch.cuda.stream(self._stream):
                self._ahead = (following, self._groups[following].fetch(self._device, ahead=True))

    def _after(self, index: int) -> int | None:
        """Guess which group is needed next: recomputing goes from the last to the first, and turns at both ends."""
        step = 1 if index > self._here else -1
        return next((n for n in (index + step, index - step) if 0 <= n < len(self._groups)), None)

    def _take(self, index: int) -> list[Tensor]:
        ahead, self._ahead = self._ahead, None
        if ahead is None or ahead[0] != index:
            return self._groups[index].fetch(self._device, ahead=False)
        assert self._stream is not None, "only a stream fetches ahead"
        now = torch.cuda.current_stream(self._device)
        now.wait_stream(self._stream)
        for tensor in ahead[1]:
            for part in _parts(tensor):
                part.record_stream(now)
        return ahead[1]


def offload(
    model: nn.Module,
    units: Sequence[Sequence[nn.Module]],
    *,
    device: torch.device,
    use_stream: bool,
    folder: Path | None,
) -> None:
    """Let the frozen weights of some layers wait elsewhere, and put the rest of a model on a device.

    Args:
        model: The model, on the CPU or the device.
        units: Groups of modules, in the order in which a forward pass calls them. A module is called as a whole.
        device: Where the model computes.
        use_stream: Fetch the next group while one computes. Without effect where the device has no streams.
        folder: Keep the weights in files in this folder; None keeps them in main memory.
    """
    pinned = device.type == "cuda"
    groups = [_group([slot for module in unit for slot in _slots(module)], folder, pinned=pinned) for unit in units]
    away = {id(slot.get()) for group in groups for slot in group.slots}
    stream = torch.cuda.Stream(device) if use_stream and pinned else None
    offloader = Offloader(groups, device, stream)
    away |= {id(slot.get()) for group in groups for slot in group.slots}
    for parameter in model.parameters():
        if id(parameter) not in away:
            parameter.data = parameter.data.to(device)
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device))
    for index, unit in enumerate(units):
        for module in unit:
            module.register_forward_pre_hook(_calls_for(offloader, index))


def in_blocks(blocks: Sequence[nn.Module], per_group: int) -> list[list[nn.Module]]:
    """Cut blocks into groups of so many."""
    return [list(blocks[first : first + per_group]) for first in range(0, len(blocks), per_group)]


def in_leaves(modules: Iterable[nn.Module]) -> list[list[nn.Module]]:
    """Return each single layer with frozen weights below some modules as a group."""
    return [
        [layer]
        for module in modules
        for layer in module.modules()
        if not list(layer.children()) and any(not p.requires_grad for p in layer.parameters(recurse=False))
    ]


def _calls_for(offloader: Offloader, index: int) -> Callable[[nn.Module, Any], None]:
    def hook(_module: nn.Module, _inputs: Any) -> None:
        offloader.need(index)

    return hook


def _slots(module: nn.Module) -> list[Slot]:
    return [
        Slot(layer, name)
        for layer in module.modules()
        for name, parameter in layer.named_parameters(recurse=False)
        if not parameter.requires_grad
    ]


def _group(slots: Sequence[Slot], folder: Path | None, *, pinned: bool) -> Group:
    host = [slot.get().detach().cpu() for slot in slots]
    if folder is None:
        kept = [tensor.pin_memory() if pinned and _parts(tensor)[0] is tensor else tensor for tensor in host]
        return Group(slots, lambda: kept, kept)
    file = _write(folder, host)
    # A weight without values: who computes with one that was not fetched fails at once.
    resting = [torch.empty_like(tensor, device="meta") for tensor in host]
    return Group(slots, lambda: _read(file, len(host)), resting)


def _parts(tensor: Tensor) -> list[Tensor]:
    """Return what a weight is made of: numbers and scales of a quantized one, else itself."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return [tensor]
    names, _ = tensor.__tensor_flatten__()
    return [part for name in names for part in _parts(getattr(tensor, name))]


def _write(folder: Path, tensors: Sequence[Tensor]) -> Path:
    """Write weights into a file that is named by its content: one of another model is never taken for it."""
    state = hashlib.sha256()
    for tensor in tensors:
        state.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
        state.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    file = folder / f"group-{state.hexdigest()}.safetensors"
    if not file.is_file():
        temporary = file.with_suffix(f".{os.getpid()}.tmp")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save_file({str(index): tensor.contiguous() for index, tensor in enumerate(tensors)}, temporary)
            os.replace(temporary, file)
        except (OSError, SafetensorError) as error:
            temporary.unlink(missing_ok=True)
            raise RunError(
                f"{file} can't be written: {error}; make room, or name another folder in "
                "`memory.group_offload.to_disk_path`"
            ) from error
    return file


def _read(file: Path, count: int) -> list[Tensor]:
    stored = load_file(file)
    return [stored[str(index)] for index in range(count)]
