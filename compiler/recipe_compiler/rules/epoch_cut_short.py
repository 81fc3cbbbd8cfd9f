"""Some data sets are timed by epochs, and others by steps that cut epochs short.

What it does: looks for data sets with `start_epoch` or `end_epoch` beside data sets with `start_step` or `end_step`.

Why it hurts: where the data sets in use change, an epoch ends and the next one begins. A step that lies within an epoch
cuts it short, and it counts as a whole one: a data set with `end_epoch: 1` then ends at that step, perhaps with most of its
clips unseen.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
        - id: more
          instance_data_dir: mixed
          start_step: 3
        - id: others
          instance_data_dir: repeated
          end_epoch: 1

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
        - id: more
          instance_data_dir: mixed
          start_epoch: 2
        - id: others
          instance_data_dir: repeated
          end_epoch: 1
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_set_roles import ROLE_KEYS, TRAINED, in_role
from recipe_compiler.rules.data_set_times import KEYS, STEPS, steps_add_up
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import Resolved


def check(facts: Facts) -> Iterator[Finding]:
    """Look for both kinds of times. Of times that don't add up another rule speaks."""
    settings = facts.settings
    tables = in_role(settings, *TRAINED)
    epochs = [
        path
        for table in tables
        for path in (f"{table}.start_epoch", f"{table}.end_epoch")
        if settings[path] is not None and (path.endswith("end_epoch") or settings[path] > 1)
    ]
    steps = [path for table in tables for path in _cutting(settings, table)]
    if epochs and steps and steps_add_up(settings):
        key = epochs[0].rpartition(".")[2]
        table, _, cut = steps[0].rpartition(".")
        yield Finding(
            at=epochs[0],
            message=f"`{key}` counts epochs, and `{cut}: {settings[steps[0]]}` of data set "
            f"`{settings[f'{table}.id']}` may cut one short, which then counts as a whole one",
            help="give all times in steps, or all in epochs",
            also=((steps[0], "an epoch ends here"),),
        )


def _cutting(settings: Resolved, table: str) -> Iterator[str]:
    """Yield the times of a data set that are steps within the run."""
    start, end, last = f"{table}.start_step", f"{table}.end_step", settings[STEPS]
    if settings[start] > 1 and (last is None or settings[start] <= last):
        yield start
    if settings[end] is not None and (last is None or settings[end] < last):
        yield end


RULE = Rule(
    code="R346",
    name="epoch-cut-short",
    severity="warning",
    reads=(STEPS, *ROLE_KEYS, *(f"data.datasets.*.{key}" for key in KEYS)),
    check=check,
    page=__doc__,
)
