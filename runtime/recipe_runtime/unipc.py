"""UniPC, a sampler of several orders that corrects each step when it knows the velocity at its end (arXiv:2302.04867).

It is the variant that diffusers' `UniPCMultistepScheduler` takes for flows by default: data prediction, B(h) = e^h - 1,
a corrector, and lower orders at both ends of the way. With σ the noise level, α = 1 - σ and λ = ln(α / σ), the data are
x₀ = x - σ v. That class counts in one list of levels for a whole batch; in a rollout each sample has levels of its own.
"""

import math

import numpy as np
from torch import Tensor


_PURE_NOISE = 1 - 1e-6
"""The highest level: λ has no end at 1. The value is diffusers'."""


class UniPc:
    """Samples one sample down its levels.

    Args:
        order: The highest order, 1 to 3.
        steps: How many steps there are.
    """

    def __init__(self, *, order: int, steps: int) -> None:
        self._order = order
        self._left = steps
        self._last_order = 0
        self._data: list[Tensor] = []
        self._levels: list[float] = []
        self._before: Tensor | None = None

    def step(self, noisy: Tensor, velocity: Tensor, sigma: float, to: float) -> Tensor:
        """Return the sample at the next level.

        Args:
            noisy: The sample, as the last step gave it.
            velocity: The model's answer to it.
            sigma: Its level.
            to: The next level, less than that and more than 0.
        """
        here, there = min(sigma, _PURE_NOISE), min(to, _PURE_NOISE)
        data = noisy - here * velocity
        if self._before is not None:
            noisy = self._move(self._before, here, self._last_order, arrived=data)
        self._data = [*self._data, data][-self._order :]
        self._levels = [*self._levels, here][-self._order :]
        self._last_order = min(self._left, len(self._data))
        self._left -= 1
        self._before = noisy
        return self._move(noisy, there, self._last_order)

    def _move(self, noisy: Tensor, to: float, order: int, arrived: Tensor | None = None) -> Tensor:
        """Go from the last level to another one: by what is known before, or also by the data predicted at its end."""
        last, data = self._levels[-1], self._data[-1]
        length = _log_snr(to) - _log_snr(last)
        places = [(_log_snr(level) - _log_snr(last)) / length for level in self._levels[-order:-1][::-1]]
        slopes = [(other - data) / place for other, place in zip(self._data[-order:-1][::-1], places, strict=True)]
        if arrived is not None:
            places.append(1.0)
            slopes.append(arrived - data)
        shrunk = math.expm1(-length)
        moved = to / last * noisy - (1 - to) * shrunk * data
        for weight, slope in zip(_weights(places, length), slopes, strict=True):
            moved = moved - (1 - to) * shrunk * weight * slope
        return moved


def _log_snr(sigma: float) -> float:
    return math.log((1 - sigma) / sigma)


def _weights(places: list[float], length: float) -> list[float]:
    """Solve for the weights of the slopes (equation 5 of the paper, with one slope the shorthand 1/2).

    Args:
        places: Where the slopes were taken, in units of the step.
        length: Of the step, in λ.
    """
    if len(places) <= 1:
        return [0.5] * len(places)
    count, step = len(places), -length
    phi = math.expm1(step) / step - 1
    factorial, wanted = 1, []
    for index in range(1, count + 1):
        wanted.append(phi * factorial / math.expm1(step))
        factorial *= index + 1
        phi = phi / step - 1 / factorial
    powers = np.vander(np.array(places), count, increasing=True).T
    weights: list[float] = np.linalg.solve(powers, np.array(wanted)).tolist()
    return weights
