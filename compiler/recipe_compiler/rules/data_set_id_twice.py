"""Two data sets have the same id.

What it does: compares the ids of all data sets.

Why it hurts: clips, messages and random numbers are named after the data set.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
        - id: clips
          instance_data_dir: mixed

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
        - id: more
          instance_data_dir: mixed
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Find ids that were used before."""
    seen: dict[str, str] = {}
    for table in facts.settings.tables("data.datasets"):
        path = f"{table}.id"
        if not facts.settings.fine(path):
            continue
        name = facts.settings[path]
        if name in seen:
            yield Finding(
                at=path,
                message=f"the id `{name}` is used twice",
                help="give each data set its own id",
                also=((seen[name], "first used here"),),
            )
        seen.setdefault(name, path)


RULE = Rule(code="R312", name="data-set-id-twice", severity="error", reads=(), check=check, page=__doc__)
