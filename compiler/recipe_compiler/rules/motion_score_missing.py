"""A clip has no motion score.

What it does: lists clips for which the table of `motion` has no row, two that differ, an empty field, or no number from 0 to
1000.

Why it hurts: a caption without a score among captions that have one teaches the model that the score does not matter. With
`on_missing_caption: skip` such clips are left out and listed; without it they are an error.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          motion:
            source: file
            path: captions.csv
            filename_column: file
            score_column: caption
          video:
            num_frames: 9

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          motion:
            source: file
            path: motion.csv
          video:
            num_frames: 9
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import part_of, reasons
from recipe_schema.motion import NO_SCORE


def check(facts: Facts) -> Iterator[Finding]:
    """List clips without a score, one finding for each data set."""
    assert facts.survey is not None
    skips = facts.settings["data.on_missing_caption"] == "skip"
    for table in facts.survey.looked:
        name = facts.settings[f"{table}.id"]
        missing = [row for row in facts.survey.of(name) if row.fate == "missing-caption"]
        rows = [row for row in missing if row.reason.startswith(NO_SCORE)]
        if rows:
            yield Finding(
                at=f"{table}.motion.source",
                message=part_of(len(rows), len(facts.survey.of(name)), f"clips of data set `{name}`", "have")
                + f" {NO_SCORE}",
                help=reasons(rows) + ("; add them" if skips else "; add them, or set data.on_missing_caption: skip"),
                severity="warning" if skips else None,
            )


RULE = Rule(
    code="R330",
    name="motion-score-missing",
    severity="error",
    reads=("data.on_missing_caption",),
    check=check,
    page=__doc__,
)
