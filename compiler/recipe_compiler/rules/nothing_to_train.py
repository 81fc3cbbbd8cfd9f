"""No data set has clips to train.

What it does: asks for a data set that is not disabled and of `dataset_type: video` or `image`.

Why it hurts: a run without clips would end at once, after loading the model.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          disabled: true

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import DATA_SETS
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import Resolved


TRAINED = ("video", "image")


def check(facts: Facts) -> Iterator[Finding]:
    """Look for a data set that is trained. One that is wrong may be it."""
    settings = facts.settings
    tables = settings.tables(DATA_SETS)
    keys = [f"{table}.{key}" for table in tables for key in ("disabled", "dataset_type")]
    if not settings.fine(*keys) or any(_is_trained(settings, table) for table in tables):
        return
    if all(settings[f"{table}.disabled"] for table in tables):
        yield Finding(at=DATA_SETS, message="every data set is disabled", help="take `disabled` out of one of them")
    else:
        kinds = ", ".join(sorted({f"`{settings[f'{table}.dataset_type']}`" for table in tables}))
        message = f"no data set in use has clips to train; there are data sets of `dataset_type` {kinds}"
        yield Finding(
            at=DATA_SETS, message=message, help="add one of `dataset_type: video` with an `instance_data_dir`"
        )


def _is_trained(settings: Resolved, table: str) -> bool:
    return settings.in_use(table) and settings[f"{table}.dataset_type"] in TRAINED


RULE = Rule(code="R334", name="nothing-to-train", severity="error", reads=(DATA_SETS,), check=check, page=__doc__)
