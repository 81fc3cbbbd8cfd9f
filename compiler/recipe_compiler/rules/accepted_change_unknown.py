"""A change is accepted of a setting that there is not, or that may change anyway.

What it does: compares the names in `checkpoints.accept_changes` with the settings, and with what they do.

Why it hurts: the run is refused all the same, as the setting that did change is not among the names. One that does not
shape the weights may differ without being named.

Example:
    checkpoints:
      accept_changes: [max_steps]

Use instead:
    checkpoints:
      accept_changes: [train.max_steps]
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import Resolved
from recipe_compiler.suggest import near
from recipe_schema.earlier import is_accepted


ACCEPTED = "checkpoints.accept_changes"


def check(facts: Facts) -> Iterator[Finding]:
    """Look at each name."""
    settings = facts.settings
    for name in settings[ACCEPTED]:
        paths = [path for path in settings.settings if is_accepted(path, (name,)) or _in_table(path, name)]
        if not paths:
            yield Finding(at=ACCEPTED, message=f"there is no setting or section `{name}`", help=_advice(settings, name))
        elif all(settings.settings[path].leaf.key.impact != "result" for path in paths):
            yield Finding(
                at=ACCEPTED,
                severity="warning",
                message=f"`{name}` does not shape the weights, and may differ without being named",
                help="take it out of the list",
            )


def _in_table(path: str, name: str) -> bool:
    """Tell whether a name with a data set's id in brackets means a setting of data sets."""
    return name.startswith("data.datasets[") and path.startswith("data.datasets.")


def _advice(settings: Resolved, name: str) -> str:
    ends = [path for path in settings.settings if path.endswith(f".{name}")]
    meant = ends[0] if len(ends) == 1 else near(name, settings.settings)
    return f"did you mean `{meant}`?" if meant else "name a setting by its path, as in train.max_steps"


RULE = Rule(
    code="R513",
    name="accepted-change-unknown",
    severity="error",
    reads=(ACCEPTED,),
    check=check,
    page=__doc__,
)
