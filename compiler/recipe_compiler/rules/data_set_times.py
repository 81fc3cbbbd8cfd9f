"""The steps and epochs that data sets are used in don't add up.

What it does: compares `start_step`, `end_step`, `start_epoch` and `end_epoch` of each data set in use with each other
and with the length of training, and looks for steps that no data set is left for.

Why it hurts: training stops where it has no clips. A data set that ends before it begins, or begins after the end, is
never trained.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          start_step: 5

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
        - id: more
          instance_data_dir: mixed
          start_step: 5
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_set_roles import ROLE_KEYS, TRAINED, in_role
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import Resolved


STEPS, EPOCHS = "train.max_steps", "train.num_epochs"
PAIRS = (("start_step", "end_step", STEPS), ("start_epoch", "end_epoch", EPOCHS))
KEYS = tuple(key for start, end, _ in PAIRS for key in (start, end))


def check(facts: Facts) -> Iterator[Finding]:
    """Check each data set, and then all of them together."""
    settings, trained = facts.settings, in_role(facts.settings, *TRAINED)
    empty = [
        finding for table in in_role(settings, *TRAINED, "eval", "conditioning") for finding in _turned(settings, table)
    ]
    if empty:
        yield from empty
        return
    gap = _first_gap(settings, trained) if trained else None
    if gap is not None:
        yield gap
        return
    for table in trained:
        yield from _too_late(settings, table)


def is_turned(settings: Resolved, table: str) -> bool:
    """Say whether a data set ends before it begins."""
    return any(True for _ in _turned(settings, table))


def steps_add_up(settings: Resolved) -> bool:
    """Say whether nothing is wrong that the numbers of steps alone tell."""
    trained = in_role(settings, *TRAINED)
    return not any(is_turned(settings, table) for table in trained) and _first_gap(settings, trained) is None


def _turned(settings: Resolved, table: str) -> Iterator[Finding]:
    """Find ends before their start."""
    for first, last, _ in PAIRS:
        start, end = f"{table}.{first}", f"{table}.{last}"
        if settings[end] is not None and settings[end] < settings[start]:
            message = f"`{last}` is {settings[end]}, and `{first}` is {settings[start]}"
            yield Finding(at=end, message=message, help="make it larger, or leave it out", also=((start, "the start"),))


def _too_late(settings: Resolved, table: str) -> Iterator[Finding]:
    """Find starts after the end of training."""
    for first, _, length in PAIRS:
        start = f"{table}.{first}"
        if settings[length] is not None and settings[start] > settings[length]:
            yield Finding(
                at=start,
                message=f"data set `{settings[f'{table}.id']}` is never used: `{first}` is {settings[start]}, and "
                f"`{length}` is {settings[length]}",
                help="make it smaller, or take the data set out",
                also=((length, "all of training"),),
                severity="warning",
            )


def _first_gap(settings: Resolved, tables: tuple[str, ...]) -> Finding | None:
    """Find the first steps for which no data set is left. Steps count from 1; ends given in epochs are left open."""
    steps = settings[STEPS]
    reach, last = 0, tables[0]
    for table in sorted(tables, key=lambda table: _begin(settings, table)):
        if _begin(settings, table) > reach + 1:
            break
        end = settings[f"{table}.end_step"]
        if end is None:
            return None
        if end > reach:
            reach, last = end, table
    if reach == 0:
        earliest = min(tables, key=lambda table: _begin(settings, table))
        key = "start_epoch" if settings[f"{earliest}.start_epoch"] > 1 else "start_step"
        message = "no data set is used at the first step"
        return Finding(
            at=f"{earliest}.{key}", message=message, help="let one of them begin at once: leave its start out"
        )
    if steps is None or reach >= steps:
        return None
    message = f"no data set is used after step {reach}, and training has {steps}"
    advice = "leave the end of one data set out, let the next begin earlier, or train fewer steps"
    return Finding(at=f"{last}.end_step", message=message, help=advice, also=((STEPS, "all of training"),))


def _begin(settings: Resolved, table: str) -> int:
    """Return the first step of a data set, at the earliest: a later epoch begins with step 2 or after it."""
    start: int = settings[f"{table}.start_step"]
    return max(start, 2 if settings[f"{table}.start_epoch"] > 1 else 1)


RULE = Rule(
    code="R417",
    name="data-set-times",
    severity="error",
    reads=(STEPS, EPOCHS, *ROLE_KEYS, *(f"data.datasets.*.{key}" for key in KEYS)),
    check=check,
    page=__doc__,
)
