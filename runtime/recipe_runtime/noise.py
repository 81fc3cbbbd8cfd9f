"""Noise levels: how much noise a sample gets, and which timestep the transformer is told.

The authors' schedule follows the configuration of Sana Video's training (logit-normal density, flow shift 3) and
the code of github.com/NVlabs/Sana: ``diffusion/model/respace.py`` (``process_timesteps``, ``SpacedDiffusion``)
and ``diffusion/model/gaussian_diffusion.py`` (``linear_flow``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class NoiseLevel:
    """One noise level.

    Attributes:
        sigma: Share of noise in the sample, from 0 (data) to 1 (noise).
        timestep: What the transformer is told, from 0 to 1000.
    """

    sigma: float
    timestep: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSchedule:
    """A table of noise levels, and how often each of them is drawn.

    Attributes:
        levels: The levels; u in 0…1 picks number floor(u · count).
        density: Draws u.
        sigma: The curve that the table is cut from: sigma of u.
    """

    levels: tuple[NoiseLevel, ...]
    density: Callable[[torch.Generator], float]
    sigma: Callable[[float], float]

    def draw(self, draw: torch.Generator, *, exact: bool) -> NoiseLevel:
        """Draw one level: of the table, or as u gives it, with 1000 sigma as the timestep."""
        count, u = len(self.levels), self.density(draw)
        if exact:
            sigma = self.sigma(u)
            return NoiseLevel(sigma, count * sigma)
        return self.levels[min(max(int(u * count), 0), count - 1)]

    def draw_low(self, draw: torch.Generator, share: float, *, exact: bool) -> NoiseLevel:
        """Draw a low level, as for a first frame that is given: ``share`` of a place of the table, all alike, from its clean end.

        Source: ``process_timesteps`` of the authors' code, where ``share`` is ``noise_multiplier``.
        """
        rising = self.levels[0].sigma < self.levels[-1].sigma
        count, u = len(self.levels), torch.rand((), generator=draw, dtype=torch.float64).item()
        if exact:
            sigma = self.sigma(share * u if rising else 1 - share * u)
            return NoiseLevel(sigma, count * sigma)
        index = int(int(u * count) * share)
        return self.levels[index if rising else count - 1 - index]


def official(facts: Mapping[str, Any]) -> NoiseSchedule:
    """Build the authors' schedule.

    s = index / 1000 and sigma = shift · s / (1 + (shift - 1) · s). The transformer is told the whole number
    floor(1000 sigma), while data and noise are mixed with sigma itself. u = sigmoid(normal(mean, std)).

    Args:
        facts: ``num_train_timesteps``, ``shift``, ``logit_mean``, ``logit_std``.
    """
    count, shift = facts["num_train_timesteps"], facts["shift"]
    mean, std = facts["logit_mean"], facts["logit_std"]
    # linspace, and not index / 1000: the authors' table has its rounding, which moves some of the floors.
    level = 1 - np.linspace(1, 1 / count, count, dtype=np.float64)
    sigma = shift * level / (1 + (shift - 1) * level)
    timestep = np.floor(count * sigma).astype(int)

    def logit_normal(draw: torch.Generator) -> float:
        return torch.sigmoid(torch.randn((), generator=draw) * std + mean).item()

    pairs = zip(sigma.tolist(), timestep.tolist(), strict=True)
    return NoiseSchedule(
        levels=tuple(NoiseLevel(*pair) for pair in pairs),
        density=logit_normal,
        sigma=lambda u: shift * u / (1 + (shift - 1) * u),
    )


def simpletuner(facts: Mapping[str, Any]) -> NoiseSchedule:
    """Build SimpleTuner's schedule for this model: every whole timestep from 1000 down to 1 alike, without a shift.

    Args:
        facts: ``num_train_timesteps``.
    """
    count = facts["num_train_timesteps"]

    def uniform(draw: torch.Generator) -> float:
        return torch.rand((), generator=draw).item()

    levels = tuple(NoiseLevel((count - index) / count, count - index) for index in range(count))
    return NoiseSchedule(levels=levels, density=uniform, sigma=lambda u: 1 - u)


SCHEDULES: Mapping[str, Callable[[Mapping[str, Any]], NoiseSchedule]] = {
    "official": official,
    "simpletuner": simpletuner,
}
"""The schedules, by the values of ``train.noise_schedule``."""
