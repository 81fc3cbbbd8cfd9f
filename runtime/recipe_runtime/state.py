"""What training changes, and exactly what a checkpoint holds."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from recipe_runtime.ema import WeightAverage
from recipe_runtime.errors import CheckpointError
from recipe_runtime.models.trained import trained_parameters


Parts = Mapping[str, Mapping[str, Tensor]]
"""Tensors by name, for each part of the state: ``model``, ``optimizer`` and, where it is kept, ``ema``."""

_ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW remembers of each parameter: updates, mean of gradients, mean of squared gradients."""


@dataclass(slots=True, kw_only=True)
class TrainState:
    """The state of training after ``step`` optimizer steps.

    Attributes:
        model: The transformer. What is trained of it is in fp32.
        optimizer: AdamW over all parameters that are trained.
        average: The average of the weights, if it is kept.
        step: Optimizer steps done.
    """

    model: nn.Module
    optimizer: Optimizer
    average: WeightAverage | None
    step: int

    def parts(self) -> Parts:
        """Return all tensors of the state. They are the live ones."""
        memory = {
            f"{kind}.{name}": self.optimizer.state[parameter][kind]
            for name, parameter in trained_parameters(self.model).items()
            for kind in _ADAM
        }
        parts: dict[str, Mapping[str, Tensor]] = {
            "model": {name: parameter.detach() for name, parameter in trained_parameters(self.model).items()},
            "optimizer": memory,
        }
        if self.average is not None:
            parts["ema"] = self.average.state()
        return parts

    @torch.no_grad()
    def load(self, parts: Parts, step: int) -> None:
        """Take over a saved state, bit for bit.

        Raises:
            CheckpointError: A part or a tensor is missing, unknown or of another shape. Nothing was changed.
        """
        shapes = {name: parameter.shape for name, parameter in trained_parameters(self.model).items()}
        _check("model", parts["model"], shapes)
        memory = {f"{kind}.{name}": shape for kind in _ADAM for name, shape in shapes.items()}
        _check("optimizer", parts["optimizer"], {**memory, **{f"step.{name}": torch.Size() for name in shapes}})
        if self.average is not None:
            _check("ema", parts["ema"], shapes)
            self.average.load(parts["ema"])
        for name, parameter in trained_parameters(self.model).items():
            parameter.copy_(parts["model"][name])
        # Copies, because the tensors of safetensors are views into the file.
        remembered = [{kind: parts["optimizer"][f"{kind}.{name}"].clone() for kind in _ADAM} for name in shapes]
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": dict(enumerate(remembered)), "param_groups": groups})
        self.step = step


def _check(part: str, found: Mapping[str, Tensor], expected: Mapping[str, torch.Size]) -> None:
    wrong = sorted(
        name
        for name in {*found, *expected}
        if name not in found or name not in expected or found[name].shape != expected[name]
    )
    if wrong:
        raise CheckpointError(
            f"the checkpoint's {part} does not fit the transformer: {len(wrong)} tensors are missing, unknown or of "
            f"another shape, the first of them {wrong[0]}; delete the checkpoint and run the same command again"
        )
