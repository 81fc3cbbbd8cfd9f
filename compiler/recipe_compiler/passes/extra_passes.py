"""Forward passes without gradients that regularizers add to a training step."""

from collections.abc import Mapping
from typing import Any


_ROLLOUT, _CREPA = "regularizers.rollout", "regularizers.crepa"
_MEAN_LENGTH: Mapping[str, float] = {"uniform": 1 / 2, "biased_early": 1 / 3, "biased_late": 2 / 3}
"""Mean length of a rollout, in the largest one."""


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

    That no sample starts beyond pure noise, and that some have too little noise, is left out.
    """
    longest = values[f"{_ROLLOUT}.max_step_offset"]
    if longest == 0:
        return 0.0
    length = longest * _MEAN_LENGTH[values[f"{_ROLLOUT}.strategy"]]
    each = length * (2 if values[f"{_ROLLOUT}.sampler"] == "heun" else 1)
    compares = values[f"{_ROLLOUT}.reflexflow_alpha"] * values[f"{_ROLLOUT}.reflexflow_beta2"] > 0
    return float(_share(values, max_steps) * (each + float(values[f"{_ROLLOUT}.reflexflow"] and compares)))


def _share(values: Mapping[str, Any], max_steps: int) -> float:
    """Return the mean share of samples that are rolled out: none before the start, then a ramp, then its end."""
    left = max(max_steps - values[f"{_ROLLOUT}.start_step"], 0)
    ramp = values[f"{_ROLLOUT}.ramp_steps"]
    if ramp == 0:
        return float(values[f"{_ROLLOUT}.probability"] * left / max_steps)
    first, last = values[f"{_ROLLOUT}.prob_start"], values[f"{_ROLLOUT}.prob_end"]
    first = values[f"{_ROLLOUT}.probability"] if first is None else first
    climbing = min(ramp, left)
    reached = first + (last - first) * climbing / ramp
    return float((climbing * (first + reached) / 2 + (left - climbing) * last) / max_steps)
