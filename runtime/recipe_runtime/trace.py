"""Finds where a value that is no number arises first: in weights, inputs, a layer's output, the loss, or a gradient."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor, nn

from recipe_runtime.batches import MicroBatch
from recipe_runtime.crepa import Alignment
from recipe_runtime.step import backward
from recipe_schema.sections.train import Train


Where = Literal["weight", "input", "forward", "loss", "backward", "weight-gradient"]
"""What is not finite. *forward* is the output of a layer, *backward* the gradient of a layer's output."""

_WORDS: Mapping[Where, str] = {
    "weight": "the weight",
    "input": "the input",
    "forward": "the output of",
    "loss": "the loss",
    "backward": "the gradient at the output of",
    "weight-gradient": "the gradient of the weight",
}

_AFTER_THE_LOSS: tuple[Where, ...] = ("backward", "weight-gradient")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The first value that is not finite.

    Attributes:
        where: What kind of value it is.
        name: The weight, the input or the layer.
        micro_batch: The micro-batch in which it was seen; None for a weight.
        dtype: Its precision, as in ``bfloat16``.
        shape: Its shape.
        nan: Values that are NaN.
        infinite: Values that are infinite.
        largest: The largest magnitude among the finite ones; 0 if there are none.
        before: What was looked at before it and was finite; None if it was the first.
        before_largest: The largest magnitude there.
    """

    where: Where
    name: str
    micro_batch: int | None
    dtype: str
    shape: tuple[int, ...]
    nan: int
    infinite: int
    largest: float
    before: str | None
    before_largest: float

    def sentence(self) -> str:
        """Say it in one sentence, for people."""
        size = "×".join(map(str, self.shape)) or "one value"
        what = f"{_WORDS[self.where]} {self.name}"
        counts = f"{self.nan} NaN and {self.infinite} infinite values, {self.dtype}, {size}"
        shown = self.where not in ("weight", "input")  # what was looked at before those has nothing to do with them
        last = (
            f"; before it, {self.before} was finite, up to {self.before_largest:.3g}" if self.before and shown else ""
        )
        return f"{what} ({counts}){last}"


class _Watch:
    """Looks at tensors one after the other, and keeps the first that is not finite."""

    def __init__(self) -> None:
        self.found: Origin | None = None
        self.micro_batch: int | None = None
        self._last: tuple[str, Tensor] | None = None

    def is_over(self) -> bool:
        """Tell whether something was found."""
        return self.found is not None

    def see_loss(self, losses: Tensor) -> None:
        """Look at the losses, which come before the gradients that follow from them and were looked at already."""
        if self.found is not None and self.found.where in _AFTER_THE_LOSS and not bool(torch.isfinite(losses).all()):
            self.found = None
        self.see("loss", "of the samples", losses)

    def see(self, where: Where, name: str, tensor: Tensor) -> None:
        """Look at a tensor."""
        if self.found is not None or not tensor.is_floating_point():
            return
        tensor = tensor.detach()
        if bool(torch.isfinite(tensor).all()):
            self._last = (f"{_WORDS[where]} {name}", tensor)
            return
        self.found = Origin(
            where=where,
            name=name,
            micro_batch=self.micro_batch,
            dtype=str(tensor.dtype).removeprefix("torch."),
            shape=tuple(tensor.shape),
            nan=int(torch.isnan(tensor).sum()),
            infinite=int(torch.isinf(tensor).sum()),
            largest=_largest(tensor),
            before=None if self._last is None else self._last[0],
            before_largest=0.0 if self._last is None else _largest(self._last[1]),
        )


def first_nonfinite(
    model: nn.Module,
    parts: Sequence[MicroBatch],
    *,
    samples: int,
    settings: Train,
    alignment: Alignment | None = None,
) -> Origin | None:
    """Take the forward and backward passes of a step once more, and return the first value that is not finite.

    Weights are not updated; the gradients that are left are of no use. A layer is named by its place in the model, the
    innermost first, so that a block is named only if all of its layers gave numbers.

    Args:
        model: The transformer.
        parts: The micro-batches, on its device.
        samples: Samples of the step.
        settings: Precision and loss.
        alignment: Adds to the loss.
    """
    watch = _Watch()
    for name, weight in (*model.named_parameters(), *({} if alignment is None else alignment.parameters()).items()):
        if type(weight.data) is Tensor:  # quantized ones hold codes and scales
            watch.see("weight", name, weight)
    with _watched(model, watch):
        for number, part in enumerate(parts):
            watch.micro_batch = number
            for field in fields(part):
                value = getattr(part, field.name)
                if isinstance(value, Tensor):
                    watch.see("input", field.name, value)
            if watch.is_over():
                break
            watch.see_loss(backward(model, part, samples, settings, alignment))
            if watch.is_over():
                break
    model.zero_grad(set_to_none=True)
    return watch.found


@contextmanager
def _watched(model: nn.Module, watch: _Watch) -> Iterator[None]:
    """Look at what every layer gives, and at the gradients that come back. Recomputed outputs were looked at before."""
    forward = {"runs": False}
    names = {module: name or "the transformer" for name, module in model.named_modules()}

    def begin(_module: nn.Module, _inputs: Any) -> None:
        forward["runs"] = True

    def end(_module: nn.Module, _inputs: Any, _output: Any) -> None:
        forward["runs"] = False

    def hear(module: nn.Module, _inputs: Any, output: Any) -> None:
        for tensor in _tensors(output) if forward["runs"] else ():
            watch.see("forward", names[module], tensor)
            if tensor.requires_grad:
                tensor.register_hook(lambda gradient: watch.see("backward", names[module], gradient))

    hooks = [model.register_forward_pre_hook(begin)]
    hooks += [module.register_forward_hook(hear) for module in names]
    hooks.append(model.register_forward_hook(end))
    hooks += [
        weight.register_hook(functools.partial(watch.see, "weight-gradient", name))
        for name, weight in model.named_parameters()
        if weight.requires_grad
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _tensors(output: Any) -> list[Tensor]:
    """Return the tensors that a layer gives."""
    return [value for value in (output if isinstance(output, tuple) else (output,)) if isinstance(value, Tensor)]


def _largest(tensor: Tensor) -> float:
    finite = tensor[torch.isfinite(tensor)]
    return float(finite.abs().max()) if finite.numel() else 0.0
