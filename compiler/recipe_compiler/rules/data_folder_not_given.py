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

from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Find local data sets without a folder."""
    settings = facts.settings
    for table in settings.tables("data.datasets"):
        used = (f"{table}.{key}" for key in ("disabled", "dataset_type", "type", "instance_data_dir"))
        if not settings.fine(*used) or not settings.in_use(table):
            continue
        if settings[f"{table}.type"] in ("local", "webdataset") and settings[f"{table}.instance_data_dir"] is None:
            yield Finding(
                at=table,
                message=f"`{table}.instance_data_dir` is missing",
                help="give the folder of clips; a relative path starts at the recipe",
            )


RULE = Rule(code="R318", name="data-folder-not-given", severity="error", reads=(), check=check, page=__doc__)
