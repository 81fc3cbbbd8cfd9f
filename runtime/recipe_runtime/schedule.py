"""The learning rate: a function of the step alone, so that a resumed run needs no scheduler's state."""

import math
from collections.abc import Callable, Mapping

from recipe_schema.sections.optimizer import LrSchedule


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


def _after_warmup(fall: Callable[[float, LrSchedule], float]) -> Callable[[int, LrSchedule, float, int], float]:
    """Build a curve that climbs from 0 to the peak and then from there to ``end``.

    Args:
        fall: Maps progress after warm-up, 0 to 1, to the share of the way from ``end`` to the peak.
    """

    def curve(step: int, settings: LrSchedule, peak: float, max_steps: int) -> float:
        warmup = settings.warmup_steps
        if step < warmup:
            return peak * step / warmup
        progress = min((step - warmup) / max(max_steps - 1 - warmup, 1), 1.0)
        share = fall(progress, settings)
        return share * peak + (1 - share) * settings.end

    return curve


def _restarts(progress: float, settings: LrSchedule) -> float:
    """Fall from 1 to 0 along half a cosine, ``num_cycles`` times (SGDR, arXiv:1608.03983, with cycles of one length)."""
    cycle = progress * settings.num_cycles
    within = 1.0 if progress == 1 else cycle % 1
    return (1 + math.cos(math.pi * within)) / 2


def _swing(wave: Callable[[float], float]) -> Callable[[int, LrSchedule, float, int], float]:
    """Build a curve that swings between the peak and ``end`` for ever, as SimpleTuner's do.

    There the period stands in ``lr_warmup_steps``, there is no warm-up, and rates are at least 1e-9.
    """

    def curve(step: int, settings: LrSchedule, peak: float, max_steps: int) -> float:
        period = settings.period_steps or max_steps
        share = (1 + wave(math.pi * step / period)) / 2
        return max(settings.end + (peak - settings.end) * share, 1e-9)

    return curve


_CURVES: Mapping[str, Callable[[int, LrSchedule, float, int], float]] = {
    "constant": _constant,
    "constant_with_warmup": _after_warmup(lambda _, __: 1.0),
    "linear": _after_warmup(lambda progress, _: 1 - progress),
    "cosine": _after_warmup(lambda progress, _: (1 + math.cos(math.pi * progress)) / 2),
    "cosine_with_restarts": _after_warmup(_restarts),
    "polynomial": _after_warmup(lambda progress, settings: (1 - progress) ** settings.power),
    "sine": _after_warmup(lambda progress, _: math.sin(math.pi * progress)),
    "simpletuner-cosine": _swing(math.cos),
    "simpletuner-sine": _swing(math.sin),
}
