"""What validation clips cost: forward passes of the transformer. The VAE, some percent of it, is left out."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from recipe_compiler.data.geometry import parse_size
from recipe_schema.family import FamilyFacts
from recipe_schema.plan import Schedule


_LOOKS = "validation"


def clips_at_once(values: Mapping[str, Any]) -> int:
    """Count the clips of one validation."""
    prompts = len(values[f"{_LOOKS}.prompt_library"]) + bool(values[f"{_LOOKS}.prompt"])
    both = values["ema.enabled"] and values["ema.validation"] == "comparison"
    return int(prompts * values[f"{_LOOKS}.num_clips"] * (2 if both else 1))


def rounds(values: Mapping[str, Any]) -> int:
    """Count the clips that one process draws of a validation, which takes as long as the whole of it."""
    return -(-clips_at_once(values) // int(values["launch.processes"] * values["launch.machines"]))


def passes_of_clip(values: Mapping[str, Any]) -> int:
    """Count the forward passes of one clip: one each sampling step, with guidance two."""
    return int(values[f"{_LOOKS}.num_inference_steps"] * (2 if values[f"{_LOOKS}.guidance"] > 1 else 1))


def tokens_of_clip(values: Mapping[str, Any], family: FamilyFacts) -> int:
    """Count what the transformer sees of a clip."""
    width, height = parse_size(values[f"{_LOOKS}.resolution"])
    return family.tokens(width, height, values[f"{_LOOKS}.num_video_frames"])


def times_drawn(values: Mapping[str, Any], schedule: Schedule) -> int:
    """Count the validations of a run: before the first step, at intervals from `after_step` on, and at the end."""
    last = schedule.max_steps
    steps: set[int] = {last}
    if (interval := values[f"{_LOOKS}.step_interval"]) is not None:
        steps |= set(range(interval, last, interval))
    if (epochs := values[f"{_LOOKS}.epoch_interval"]) is not None:
        whole = schedule.intervals(last, epochs)
        steps |= {bisect_left(range(last), n * epochs, key=schedule.epochs) for n in range(1, whole + 1)}
    first: int = min(values[f"{_LOOKS}.after_step"], last)
    return sum(step >= first for step in steps) + int(values[f"{_LOOKS}.on_startup"])
