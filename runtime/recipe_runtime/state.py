"""What training changes, and exactly what a checkpoint holds."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from recipe_runtime.averaged import averaged_weights, weights_replaced
from recipe_runtime.crepa import Alignment
from recipe_runtime.ema import WeightAverage
from recipe_runtime.errors import CheckpointError
from recipe_runtime.models.trained import trained_parameters
from recipe_runtime.optim_memory import make_room, memory_of, restore
from recipe_runtime.release import GradientRelease
from recipe_runtime.sharding import Shards, local
from recipe_runtime.team import ALONE, Team


Parts = Mapping[str, Mapping[str, Tensor]]
"""Tensors by name, for each part of the state: ``model``, ``optimizer``, ``ema`` where it is kept, ``averaged`` with
Schedule-Free, where the model's own weights are not the result, ``crepa`` where features are aligned, and ``split``."""


class Saved(Protocol):
    """What is saved of a state in slices, such as `recipe_runtime.checkpoint.Checkpoint`."""

    def shapes(self, part: str) -> Mapping[str, torch.Size]:
        """Return the shapes of a part's whole tensors; none if it does not have it."""

    def fill(self, part: str, tensors: Mapping[str, Tensor]) -> None:
        """Read values of a part into tensors: whole ones, or slices as ``DTensor``."""


@dataclass(slots=True, kw_only=True)
class TrainState:
    """The state of training after ``step`` optimizer steps.

    Attributes:
        model: The transformer. What is trained of it is in the precision that the optimizer keeps.
        optimizer: The optimizer of all parameters that are trained.
        average: The average of the weights, if it is kept.
        step: Optimizer steps done.
        group_memory: What the optimizer remembers of groups, see `recipe_runtime.optim.Kind`.
        release: What updates weights in the backward pass, if they are.
        averages: Whether the optimizer's result is an average of its own, as with Schedule-Free.
        alignment: What aligns features, if anything does. Its projector is trained, and neither averaged nor exported.
        split: What the adapter began with, where that was taken out of the weights.
        begun_from: See `recipe_runtime.checkpoint.Checkpoint`.
        gone_back: Likewise.
        team: The processes that have the same state, or slices of it, and change it together.
        shards: This process's slices of the weights, where they are spread over the team.
    """

    model: nn.Module
    optimizer: Optimizer
    average: WeightAverage | None
    step: int
    group_memory: tuple[str, ...] = ()
    release: GradientRelease | None = None
    averages: bool = False
    alignment: Alignment | None = None
    split: Mapping[str, Tensor] | None = None
    begun_from: Mapping[str, Any] | None = None
    gone_back: Mapping[str, Any] | None = None
    team: Team = ALONE
    shards: Shards | None = None

    def past(self) -> dict[str, Any]:
        """Return what a checkpoint says of the way to it, besides its step: nothing for a run that just went on."""
        said = {"begun_from": self.begun_from, "gone_back": self.gone_back}
        return {name: dict(value) for name, value in said.items() if value is not None}

    def weights(self) -> dict[str, nn.Parameter]:
        """Return what is trained of the model, by name: this process's slices, where weights are spread."""
        return trained_parameters(self.model) if self.shards is None else self.shards.weights

    def optimized(self) -> dict[str, nn.Parameter]:
        """Return all that the optimizer trains, by name: what is trained of the model, and what is trained beside it."""
        return {**self.weights(), **({} if self.alignment is None else self.alignment.parameters())}

    def result(self) -> AbstractContextManager[None]:
        """Put the result of training into the model, where its own weights are not that, and these back afterwards."""
        if not self.averages:
            return nullcontext()
        return weights_replaced(
            trained_parameters(self.model), averaged_weights(self.optimizer, trained_parameters(self.model))
        )

    def parts(self) -> Parts:
        """Return all tensors of the state. They are the live ones, but for ``averaged``, and copies where weights are spread.

        Then all processes put them together, and only the first one gets them, in main memory.
        """
        if self.shards is None:
            return self.own_parts()
        if self.team.rank == 0:
            self.team.give("gather")
        return self.shards.gathered(self.own_parts())

    def cut_parts(self) -> Parts:
        """Return the tensors of this process, slices as ``DTensor``, which knows its place. Weights have to be spread."""
        assert self.shards is not None, "weights are spread"
        return self.shards.cut(self.own_parts())

    def own_parts(self, *, memory: bool = True) -> Parts:
        """Return the tensors of this process, which are slices where weights are spread.

        Args:
            memory: Whether to return more than makes up the model: what the optimizer and alignment remember.
        """
        parts: dict[str, Mapping[str, Tensor]] = {
            "model": {name: parameter.detach() for name, parameter in self.weights().items()},
        }
        if self.averages:
            parts["averaged"] = averaged_weights(self.optimizer, self.weights())
        if self.average is not None:
            parts["ema"] = self.average.state()
        if self.split is not None:
            parts["split"] = self.split
        if not memory:
            return parts
        parts["optimizer"] = memory_of(self.optimizer, self.optimized(), self.group_memory)
        if self.alignment is not None:
            parts["crepa"] = self.alignment.state()
        return parts

    @torch.no_grad()
    def load(self, parts: Parts, step: int) -> None:
        """Take over a saved state, bit for bit.

        Raises:
            CheckpointError: A part or a tensor is missing, unknown or of another shape. The state is of no use then.
        """
        make_room(self.optimizer, self.optimized())
        self._take(parts if self.shards is None else self.shards.sliced(parts), step)

    @torch.no_grad()
    def load_slices(self, saved: Saved, step: int) -> None:
        """Take over a state that was saved in slices, bit for bit: this process reads its own. Weights have to be spread.

        Raises:
            CheckpointError: As with `load`, or a file can't be read.
        """
        assert self.shards is not None, "weights are spread"
        make_room(self.optimizer, self.optimized())
        parts: dict[str, Mapping[str, Tensor]] = {}
        # What is averaged by Schedule-Free follows from the rest.
        own = {part: tensors for part, tensors in self.own_parts().items() if part != "averaged"}
        for part, tensors in self.shards.room(own).items():
            _check(part, saved.shapes(part), {name: tensor.shape for name, tensor in tensors.items()})
            saved.fill(part, tensors)
            parts[part] = {name: local(tensor) for name, tensor in tensors.items()}
        self._take(parts, step)

    def _take(self, parts: Parts, step: int) -> None:
        """Take over tensors of this process. The optimizer has its room."""
        shapes = _shapes(self.weights())
        _check("model", _shapes(parts["model"]), shapes)
        # The model was built with what the checkpoint holds, so that its frozen weights are those of the training.
        _check("split", _shapes(parts.get("split", {})), {} if self.split is None else shapes)
        memory = memory_of(self.optimizer, self.optimized(), self.group_memory)
        _check("optimizer", _shapes(parts["optimizer"]), _shapes(memory))
        if self.average is not None:
            _check("ema", _shapes(parts.get("ema", {})), shapes)
            self.average.load(parts["ema"])
        if self.alignment is not None:
            _check("crepa", _shapes(parts["crepa"]), _shapes(self.alignment.state()))
            self.alignment.load(parts["crepa"])
        for name, parameter in self.weights().items():
            parameter.copy_(parts["model"][name])
        restore(self.optimizer, self.optimized(), self.group_memory, parts["optimizer"])
        self.step = step


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _check(part: str, found: Mapping[str, torch.Size], expected: Mapping[str, torch.Size]) -> None:
    wrong = sorted(
        name
        for name in {*found, *expected}
        if name not in found or name not in expected or found[name] != expected[name]
    )
    if wrong:
        raise CheckpointError(
            f"the checkpoint's {part} does not fit what is trained: {len(wrong)} tensors are missing, unknown or of "
            f"another shape, the first of them {wrong[0]}; go on from a checkpoint of the same model, optimizer and "
            "average, or delete this one and run the same command again"
        )
