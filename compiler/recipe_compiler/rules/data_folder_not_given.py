"""A data set does not say where its clips are.

What it does: asks for `instance_data_dir` of each data set that is a local folder.

Why it hurts: there is nothing to look at.

Example:
    data:
      datasets:
        - id: clips

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import ADDRESS, in_use, meant_type
from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Find local data sets without a folder."""
    settings = facts.settings
    for table in in_use(settings, "type", "instance_data_dir", *ADDRESS.values()):
        if meant_type(settings, table) is not None:
            continue  # another rule says that the type is missing
        if settings[f"{table}.type"] in ("local", "webdataset") and settings[f"{table}.instance_data_dir"] is None:
            yield Finding(
                at=table,
                message=f"`{table}.instance_data_dir` is missing",
                help="give the folder of clips; a relative path starts at the recipe",
            )


RULE = Rule(code="R318", name="data-folder-not-given", severity="error", reads=(), check=check, page=__doc__)
