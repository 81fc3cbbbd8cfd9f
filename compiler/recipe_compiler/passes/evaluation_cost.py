"""What the evaluation loss costs: forward passes without gradients on the clips that are set apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from recipe_compiler.passes.estimate import forward_flop
from recipe_schema.family import FamilyFacts
from recipe_schema.ledger import ClipRow
from recipe_schema.plan import Schedule


_EVALUATION = "evaluation"


def evaluation_pflop(
    values: Mapping[str, Any], family: FamilyFacts, rows: Sequence[ClipRow], schedule: Schedule
) -> float:
    """Return the operations of all figures of a run, in PFLOP: the mean over a data set's clips stands for those measured.

    Args:
        values: Settings by path.
        family: The model family.
        rows: The ledger.
        schedule: How long training lasts.
    """
    config = family.transformer(values["model.random_weights"])
    only: str | None = values[f"{_EVALUATION}.dataset_id"]
    passes: dict[str, list[float]] = {}
    for row in rows:
        if row.fate == "evaluated" and only in (None, row.dataset):
            tokens = family.tokens(row.bucket_width, row.bucket_height, row.bucket_frames)
            passes.setdefault(row.dataset, []).extend([forward_flop(config, tokens)] * len(row.items))
    most: int = values[f"{_EVALUATION}.num_clips"]
    clips = sum(sum(each) / len(each) * min(len(each), most) for each in passes.values())
    weights = 2 if values["ema.enabled"] else 1
    times = _times(values, schedule) * weights * int(values[f"{_EVALUATION}.timesteps"])
    return float(f"{clips * times / 1e15:.3g}")


def _times(values: Mapping[str, Any], schedule: Schedule) -> int:
    """Count the steps at which is measured: the first and the last, and those of the intervals."""
    steps, epochs = values[f"{_EVALUATION}.step_interval"], values[f"{_EVALUATION}.epoch_interval"]
    if steps is None and epochs is None:
        return 0
    between = 0 if steps is None else (schedule.max_steps - 1) // int(steps)
    return 2 + between + (0 if epochs is None else schedule.intervals(schedule.max_steps - 1, epochs))
