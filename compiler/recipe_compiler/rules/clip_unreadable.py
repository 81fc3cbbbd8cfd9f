"""A clip can't be read.

What it does: lists files that are empty, cut off, without video, or not video at all.

Why it hurts: a broken file would stop the run hours later, or be skipped without a word. Here it is left out of
the plan and listed, and the file stays where it is; with `on_problem: error` the plan is refused, with `delete` the
file is moved away, and with `on_problem: skip` nothing is said.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: broken

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import reasons, with_clips


def check(facts: Facts) -> Iterator[Finding]:
    """List broken files, one finding for each data set."""
    assert facts.survey is not None
    if facts.settings["data.on_problem"] == "skip":
        return
    for table in with_clips(facts):
        name = facts.settings[f"{table}.id"]
        rows = [row for row in facts.survey.of(name) if row.fate == "quarantined"]
        if rows:
            yield Finding(
                at=f"{table}.instance_data_dir",
                message=f"{len(rows)} of {len(facts.survey.of(name))} clips of data set `{name}` can't be read",
                help=reasons(rows),
                severity="error" if facts.settings["data.on_problem"] == "error" else None,
            )


RULE = Rule(
    code="R305",
    name="clip-unreadable",
    severity="warning",
    reads=("data.on_problem",),
    check=check,
    page=__doc__,
)
