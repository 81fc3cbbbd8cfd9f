"""A clip has no caption.

What it does: lists clips for which `caption_strategy` finds nothing, or a file that can't be read.

Why it hurts: a clip without a caption teaches the model to ignore the prompt. With `on_missing_caption: skip` such
clips are left out and listed; without it they are an error.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: uncaptioned

Use instead:
    data:
      on_missing_caption: skip
      datasets:
        - id: clips
          instance_data_dir: clips
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import part_of, reasons, unread_lists, with_clips
from recipe_schema.motion import NO_SCORE


def check(facts: Facts) -> Iterator[Finding]:
    """List clips without a caption, one finding for each data set."""
    assert facts.survey is not None
    for table in with_clips(facts):
        name = facts.settings[f"{table}.id"]
        missing = [row for row in facts.survey.of(name) if row.fate == "missing-caption"]
        rows = [row for row in missing if not row.reason.startswith(NO_SCORE)]
        skips = facts.settings["data.on_missing_caption"] == "skip"
        if rows:
            yield Finding(
                at=f"{table}.caption_strategy" if facts.settings.given(f"{table}.caption_strategy") else table,
                message=part_of(len(rows), len(facts.survey.of(name)), f"clips of data set `{name}`", "have")
                + " no caption",
                help=f"{reasons(rows)}; {unread_lists(facts, table) or 'write captions'}"
                + ("" if skips else ", or set data.on_missing_caption: skip"),
                severity="warning" if skips else None,
            )


RULE = Rule(
    code="R306",
    name="caption-missing",
    severity="error",
    reads=("data.on_missing_caption",),
    check=check,
    page=__doc__,
)
