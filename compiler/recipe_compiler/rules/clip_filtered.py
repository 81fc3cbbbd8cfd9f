"""Clips are left out because of their length.

What it does: counts clips that are shorter than `video.min_frames` or longer than `video.max_frames`, both counted
after resampling to `data.framerate`.

Why it hurts: it does no harm, if that is what you want. But the clips were put there by somebody, and no trainer
should leave them out without a word.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: mixed
          video:
            num_frames: 9

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: mixed
          video:
            num_frames: 9
            min_frames: 1
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import reasons, with_clips


SHORTER = "; lower video.min_frames to take shorter clips in a bucket of their own"


def check(facts: Facts) -> Iterator[Finding]:
    """Count clips of the wrong length, one finding for each data set."""
    assert facts.survey is not None
    for table in with_clips(facts):
        name = facts.settings[f"{table}.id"]
        rows = [row for row in facts.survey.of(name) if row.fate == "filtered"]
        if rows:
            yield Finding(
                at=f"{table}.video.num_frames" if facts.settings.given(f"{table}.video.num_frames") else table,
                message=f"{len(rows)} of {len(facts.survey.of(name))} clips of data set `{name}` are left out",
                help=reasons(rows) + (SHORTER if any(row.reason.startswith("too short") for row in rows) else ""),
            )


RULE = Rule(
    code="R307",
    name="clip-filtered",
    severity="warning",
    reads=("data.framerate",),
    check=check,
    page=__doc__,
)
