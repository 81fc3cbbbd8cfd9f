"""An average of the weights over time, kept in fp32 whatever the weights are in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from recipe_runtime.models.trained import trained_parameters
from recipe_schema.sections.optimizer import Ema


def decay_at(updates: int, decay: float, interval: int) -> float:
    """Return which share of the average an update keeps: min((1 + s) / (10 + s), decay) ** interval.

    The first factor lets the average forget its start; it is the warm-up of diffusers' ``EMAModel`` and of
    TensorFlow's ``ExponentialMovingAverage``. The power makes an update every ``interval`` steps span the same
    time as one at each step.

    Args:
        updates: Updates before this one.
        decay: Share that one step keeps in the long run.
        interval: Steps between updates, so that s = updates · interval.
    """
    steps = updates * interval
    return float(min((1 + steps) / (10 + steps), decay) ** interval)


class WeightAverage:
    """The average of a model's trained parameters.

    Args:
        model: The model as it is before its first step.
        settings: Decay and interval.
    """

    def __init__(self, model: nn.Module, settings: Ema) -> None:
        self._settings = settings
        self._parameters = trained_parameters(model)
        self._shadow = {name: p.detach().float().clone() for name, p in self._parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after ``step`` optimizer steps, if an update is due then."""
        interval = self._settings.update_interval
        if step % interval:
            return
        weight = 1 - decay_at(step // interval - 1, self._settings.decay, interval)
        weights = [p.detach().float() for p in self._parameters.values()]
        torch._foreach_lerp_(list(self._shadow.values()), weights, weight)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Put the average into the model, and the model's own weights back afterwards, bit for bit.

        Only pointers change, so this costs neither memory nor rounding.
        """
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, parameter in self._parameters.items():
            parameter.data, self._shadow[name] = self._shadow[name], parameter.data

    def state(self) -> Mapping[str, Tensor]:
        """Return the average by the parameters' names. The tensors are the live ones."""
        return self._shadow

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over a saved average, whose names and shapes have been checked."""
        for name, shadow in self._shadow.items():
            shadow.copy_(state[name])
