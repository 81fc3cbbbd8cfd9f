"""The learning rate: a function of the step alone, so that a resumed run needs no scheduler's state."""

import math
from collections.abc import Callable, Mapping

from recipe_schema.recipe import LrSchedule


def learning_rate(step: int, settings: LrSchedule, *, peak: float, max_steps: int) -> float:
    """Return the rate of one update.

    Args:
        step: Updates before this one: the first is 0.
        settings: The schedule.
        peak: The rate after warm-up.
        max_steps: Updates of the whole run.
    """
    return _CURVES[settings.name](step, settings, peak, max_steps)


def _constant(step: int, settings: LrSchedule, peak: float, max_steps: int) -> float:  # noqa: ARG001 - one signature
    return peak


def _after_warmup(fall: Callable[[float], float]) -> Callable[[int, LrSchedule, float, int], float]:
    """Build a curve that climbs from 0 to the peak and then from there to ``end``.

    Args:
        fall: Maps progress after warm-up, 0 to 1, to the share of the way from ``end`` to the peak, 1 to 0.
    """

    def curve(step: int, settings: LrSchedule, peak: float, max_steps: int) -> float:
        warmup = settings.warmup_steps
        if step < warmup:
            return peak * step / warmup
        progress = min((step - warmup) / max(max_steps - 1 - warmup, 1), 1.0)
        share = fall(progress)
        return share * peak + (1 - share) * settings.end

    return curve


_CURVES: Mapping[str, Callable[[int, LrSchedule, float, int], float]] = {
    "constant": _constant,
    "constant_with_warmup": _after_warmup(lambda _: 1.0),
    "linear": _after_warmup(lambda progress: 1 - progress),
    "cosine": _after_warmup(lambda progress: (1 + math.cos(math.pi * progress)) / 2),
}
