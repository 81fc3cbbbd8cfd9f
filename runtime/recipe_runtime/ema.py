"""An average of the weights over time, kept in fp32 whatever the weights are in."""

from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from recipe_runtime.averaged import weights_replaced
from recipe_runtime.models.trained import trained_parameters
from recipe_schema.sections.optimizer import Ema


def decay_at(step: int, settings: Ema) -> float:
    """Return which share of the average the update after ``step`` optimizer steps keeps.

    In the warm-up it is 0: the average is a copy. After it, it is decay ** interval, so that an update every ``interval``
    steps spans the same time as one at each step. With ``warmup: ramp`` the decay of a step is at most
    (1 + s) / (10 + s), where s counts steps since the warm-up and the last update: so the average forgets its start, as in
    diffusers' ``EMAModel`` and TensorFlow's ``ExponentialMovingAverage``.
    """
    if step <= settings.warmup_steps:
        return 0.0
    since = max(step - settings.update_interval - settings.warmup_steps, 0)
    decay = settings.decay
    if settings.warmup == "ramp":
        decay = min((1 + since) / (10 + since), decay)
    return float(decay**settings.update_interval)


class WeightAverage:
    """The average of a model's trained parameters.

    Args:
        model: The model as it is before its first step.
        settings: Decay, interval, warm-up and place.
        parameters: What is averaged, where that is not all that is trained of the model.
    """

    def __init__(self, model: nn.Module, settings: Ema, parameters: Mapping[str, nn.Parameter] | None = None) -> None:
        self._settings = settings
        self._parameters = trained_parameters(model) if parameters is None else parameters
        cpu = torch.device("cpu") if settings.device == "cpu" else None
        self._shadow = {
            name: p.detach().to(cpu or p.device, torch.float32, copy=True) for name, p in self._parameters.items()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after ``step`` optimizer steps, if an update is due then."""
        if step % self._settings.update_interval:
            return
        decay = decay_at(step, self._settings)
        shadows = list(self._shadow.values())
        weights = [p.detach().to(self._shadow[name].device).float() for name, p in self._parameters.items()]
        if decay == 0:
            torch._foreach_copy_(shadows, weights)
        else:
            torch._foreach_lerp_(shadows, weights, 1 - decay)

    def swapped(self) -> AbstractContextManager[None]:
        """Put the average into the model, and the model's own weights back afterwards, bit for bit."""
        return weights_replaced(self._parameters, self._shadow)

    def state(self) -> Mapping[str, Tensor]:
        """Return the average by the parameters' names. The tensors are the live ones."""
        return self._shadow

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over a saved average, whose names and shapes have been checked."""
        for name, shadow in self._shadow.items():
            shadow.copy_(state[name])
