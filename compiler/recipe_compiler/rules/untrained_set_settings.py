"""A data set that is not trained says when, or how many at once, it is trained.

What it does: looks for `train_batch_size`, `start_step`, `end_step`, `start_epoch` and `end_epoch` at data sets of
`dataset_type: eval` and `conditioning`.

Why it hurts: clips that only measure, and masks, have no steps of their own. The settings do nothing.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
        - id: measured
          dataset_type: eval
          instance_data_dir: mixed
          train_batch_size: 2
    evaluation:
      step_interval: 5

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
        - id: measured
          dataset_type: eval
          instance_data_dir: mixed
    evaluation:
      step_interval: 5
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_set_roles import ROLE_KEYS, in_role
from recipe_compiler.rules.data_set_times import KEYS, is_turned
from recipe_compiler.rules.data_sets import told
from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Look at each data set that is not trained. Of an end before its start another rule speaks."""
    settings = facts.settings
    for table in in_role(settings, "eval", "conditioning"):
        given = [path for key in ("train_batch_size", *KEYS) if told(settings, path := f"{table}.{key}")]
        if given and not is_turned(settings, table):
            kind = settings[f"{table}.dataset_type"]
            names = ", ".join(f"`{path.rpartition('.')[2]}`" for path in given)
            yield Finding(
                at=given[0],
                message=f"data set `{settings[f'{table}.id']}` is not trained, and {names} "
                f"{'do' if len(given) > 1 else 'does'} nothing there",
                help=f"leave {'them' if len(given) > 1 else 'it'} out",
                also=((f"{table}.dataset_type", f"it is `{kind}`"),),
            )


RULE = Rule(
    code="R344",
    name="untrained-set-settings",
    severity="warning",
    reads=(*ROLE_KEYS, "data.datasets.*.train_batch_size", *(f"data.datasets.*.{key}" for key in KEYS)),
    check=check,
    page=__doc__,
)
