"""A tracker is asked for that is not installed.

What it does: looks for the package of each of `tracking.report_to`. It warns; `recipe run` refuses.

Why it hurts: no curves are drawn, or the run stops when training begins.

Example:
    tracking:
      report_to: tensorboard

Use instead:
    tracking:
      project_name: my-films
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


TRACKERS = "tracking.report_to"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for packages. Each has the name of its tracker."""
    missing = [name for name in facts.settings[TRACKERS] or () if facts.machine.version(name) is None]
    if missing:
        yield Finding(
            at=TRACKERS,
            message=f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed on this machine",
            help=f"pip install {' '.join(missing)}",
            severity="error" if facts.starts_here else "warning",
        )


RULE = Rule(code="R803", name="tracker-not-installed", severity="warning", reads=(TRACKERS,), check=check, page=__doc__)
