"""Forward passes without gradients that regularizers add to a training step."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any


_ROLLOUT, _CREPA = "regularizers.rollout", "regularizers.crepa"
_MEAN_LENGTH: Mapping[str, float] = {"uniform": 1 / 2, "biased_early": 1 / 3, "biased_late": 2 / 3}
"""Mean length of a rollout, in the largest one."""

_REACHED: Mapping[str, Callable[[int, int], float]] = {
    "uniform": lambda step, longest: (longest + 1 - step) / (longest + 1),
    "biased_early": lambda step, longest: 1 - math.sqrt((step - 0.5) / longest),
    "biased_late": lambda step, longest: math.sqrt(1 - (step - 0.5) / longest),
}
"""The chance that a rollout has a step of its number, for the largest one."""

_PARTS = 16
"""A ramp is looked at in so many parts."""


def extra_passes(values: Mapping[str, Any], max_steps: int) -> float:
    """Return how many such passes a sample takes, the mean over the run.

    Args:
        values: Settings by path.
        max_steps: Optimizer steps of the run.
    """
    return rollout_passes(values, max_steps) + _teaching(values, max_steps)


def two_levels(values: Mapping[str, Any]) -> bool:
    """Say whether samples have two noise levels, and the average of the weights teaches (self-flow)."""
    return bool(values[f"{_CREPA}.enabled"] and values[f"{_CREPA}.feature_source"] == "self_flow")


def _teaching(values: Mapping[str, Any], max_steps: int) -> float:
    """Return the share of steps in which the average teaches: those before alignment ends."""
    if not two_levels(values) or not values[f"{_CREPA}.weight"]:
        return 0.0
    cutoff = values[f"{_CREPA}.cutoff_step"] or max_steps
    return float(min(cutoff, max_steps) / max_steps)


def rollout_passes(values: Mapping[str, Any], max_steps: int) -> float:
    """Return the passes of rollouts: one or two for each timestep, and with ReflexFlow one for the input without it.

    That no sample starts beyond pure noise, and that some have too little noise, is left out. With `fsdp2` each pass is one
    of all processes and takes as long as in the one with most samples under way, so that these are counted.
    """
    longest = values[f"{_ROLLOUT}.max_step_offset"]
    if longest == 0:
        return 0.0
    each = 2 if values[f"{_ROLLOUT}.sampler"] == "heun" else 1
    compares = values[f"{_ROLLOUT}.reflexflow_alpha"] * values[f"{_ROLLOUT}.reflexflow_beta2"] > 0
    compared = int(values[f"{_ROLLOUT}.reflexflow"] and compares)
    return sum(
        weight * (each * _length(values, share, longest) + compared * _busiest(values, share))
        for weight, share in _course(values, max_steps)
    )


def _length(values: Mapping[str, Any], share: float, longest: int) -> float:
    """Return for how many timesteps a sample is rolled out, where so large a share of samples is."""
    strategy = values[f"{_ROLLOUT}.strategy"]
    if _together(values) == 1:
        return float(share * longest * _MEAN_LENGTH[strategy])
    reached = _REACHED[strategy]
    return sum(_busiest(values, share * reached(step, longest)) for step in range(1, longest + 1))


def _busiest(values: Mapping[str, Any], chance: float) -> float:
    """Return the share of a batch that takes a pass, in the process where it is largest.

    Of n samples of a process, each with the chance p, as many take it as a binomial distribution says. The mean of the
    largest count of P processes is the sum over j from 1 to n of 1 - F(j - 1)^P, F its cumulative distribution.
    """
    samples, processes = values["train.batch_size"], _together(values)
    if processes == 1:
        return chance
    below, most = 0.0, 0.0
    for count in range(samples):
        below += math.comb(samples, count) * chance**count * (1 - chance) ** (samples - count)
        most += 1 - min(below, 1.0) ** processes
    return float(most / samples)


def _together(values: Mapping[str, Any]) -> int:
    """Count the processes that take each pass together."""
    slices = values["launch.strategy"] == "fsdp2"
    return int(values["launch.processes"] * values["launch.machines"]) if slices else 1


def _course(values: Mapping[str, Any], max_steps: int) -> Iterator[tuple[float, float]]:
    """Yield parts of the run as shares of it, each with the share of samples that are rolled out: a ramp, and its end."""
    left = max(max_steps - values[f"{_ROLLOUT}.start_step"], 0)
    ramp = values[f"{_ROLLOUT}.ramp_steps"]
    if ramp == 0:
        yield left / max_steps, values[f"{_ROLLOUT}.probability"]
        return
    first, last = values[f"{_ROLLOUT}.prob_start"], values[f"{_ROLLOUT}.prob_end"]
    first = values[f"{_ROLLOUT}.probability"] if first is None else first
    climbing = min(ramp, left)
    for part in range(_PARTS):
        progress = (part + 0.5) / _PARTS * climbing / ramp
        if values[f"{_ROLLOUT}.ramp_shape"] == "cosine":
            progress = (1 - math.cos(math.pi * progress)) / 2
        yield climbing / _PARTS / max_steps, first + (last - first) * progress
    yield (left - climbing) / max_steps, last
