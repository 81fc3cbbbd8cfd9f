"""Clips are left out because of their length or size.

What it does: counts clips that are shorter than `video.min_frames` or longer than `video.max_frames`, both counted
after resampling to `data.framerate`, and those that `minimum_image_size`, `minimum_aspect_ratio` or
`maximum_aspect_ratio` keeps out. What `max_num_samples` passes over does not count.

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

from recipe_compiler.data.filters import KEYS, NOT_CHOSEN, TOO_SHORT, kind_of
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import part_of, reasons, with_clips
from recipe_compiler.settings import Resolved


def check(facts: Facts) -> Iterator[Finding]:
    """Count clips that something leaves out, one finding for each data set."""
    assert facts.survey is not None
    for table in with_clips(facts):
        name = facts.settings[f"{table}.id"]
        filtered = [row for row in facts.survey.of(name) if row.fate == "filtered"]
        rows = [row for row in filtered if kind_of(row.reason) != NOT_CHOSEN]
        if rows:
            kinds = list(dict.fromkeys(kind_of(row.reason) for row in rows))
            yield Finding(
                at=_place(facts.settings, table, kinds[0]),
                message=part_of(len(rows), len(facts.survey.of(name)), f"clips of data set `{name}`", "are")
                + " left out",
                help=reasons(rows) + (_SHORTER if TOO_SHORT in kinds else ""),
            )


_SHORTER = "; lower video.min_frames to take shorter clips in a bucket of their own"


def _place(settings: Resolved, table: str, kind: str) -> str:
    """Return what was written of the limit that leaves clips of a kind out."""
    paths = (f"{table}.{KEYS[kind]}", f"{table}.video.num_frames")
    return next((path for path in paths if settings.given(path)), table)


RULE = Rule(
    code="R307",
    name="clip-filtered",
    severity="warning",
    reads=("data.framerate",),
    check=check,
    page=__doc__,
)
