"""A setting asks for something that this version's trainer does not do yet.

What it does: names every setting whose value the language has and the trainer of this version does not carry out.
`recipe lint` warns, so that the rest of the recipe can be checked; `recipe plan` and `recipe run` refuse.

Why it hurts: a trainer that passes over an option trains something else than was asked for, and nobody learns of it.

Example:
    data:
      datasets:
        - id: films
          type: huggingface
          dataset_name: somebody/films
          streaming: true

Use instead:
    data:
      datasets:
        - id: films
          type: huggingface
          dataset_name: somebody/films
"""

from collections.abc import Iterator
from typing import Any

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import Setting
from recipe_schema.definition import number_text
from recipe_schema.marks import AnyOther, Derived, Key


def check(facts: Facts) -> Iterator[Finding]:
    """Find settings that nothing carries out."""
    settings = facts.settings
    unused = tuple(f"{table}." for table in settings.tables("data.datasets") if not settings.in_use(table))
    asked = [
        (path, _shown(setting.value))
        for path, setting in settings.settings.items()
        if setting.given and settings.fine(path) and not path.startswith(unused) and _is_pending(setting)
    ]
    for path, value in asked:
        yield Finding(
            at=path,
            message=f"`{path}{value}` is not carried out yet by this version's trainer",
            help="leave it out for now; `recipe plan` and `recipe run` refuse it",
            severity="error" if facts.must_run else "warning",
        )


def _is_pending(setting: Setting) -> bool:
    key: Key = setting.leaf.key
    if isinstance(key.pending, AnyOther):
        return isinstance(key.default, Derived) or setting.value != key.default
    return setting.value in key.pending


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return f": {str(value).lower()}"
    if isinstance(value, int | float):
        return f": {number_text(value)}"
    return f": {value}" if isinstance(value, str) else ""


RULE = Rule(code="R206", name="not-carried-out-yet", severity="warning", reads=(), check=check, page=__doc__)
