"""Clips are smaller than the size at which they are trained.

What it does: counts clips that have to be enlarged by more than a quarter to cover their bucket.

Why it hurts: the model learns to draw what enlarging looks like. Smaller sizes in `data.buckets`, or a
lower `resolution`, avoid it.

Example:
    data:
      buckets: [192x128]

Use instead:
    data:
      buckets: [96x64]
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import SHOWN, with_clips


MOST = 1.25


def check(facts: Facts) -> Iterator[Finding]:
    """Count enlarged clips, one finding for each data set."""
    assert facts.survey is not None
    for table in with_clips(facts):
        name = facts.settings[f"{table}.id"]
        rows = [row for row in facts.survey.of(name) if row.fate == "trained"]
        small = [row for row in rows if row.resize_width > row.width * MOST]
        if small:
            shown = ", ".join(f"{row.path} ({row.width}x{row.height})" for row in small[:SHOWN])
            rest = f" and {len(small) - SHOWN} more" if len(small) > SHOWN else ""
            yield Finding(
                at=_place(facts, table),
                message=f"{len(small)} of {len(rows)} clips of data set `{name}` are enlarged by more than a quarter",
                help=f"{_smaller(facts, table)}, or take larger clips: {shown}{rest}",
            )


def _place(facts: Facts, table: str) -> str:
    places = (f"{table}.resolution", "data.buckets")
    return next((path for path in places if facts.settings.given(path)), table)


def _smaller(facts: Facts, table: str) -> str:
    if facts.settings[f"{table}.resolution"] is None:
        return "take smaller sizes in `data.buckets`"
    return "lower `resolution`, or leave such clips out with `minimum_image_size`"


RULE = Rule(
    code="R316",
    name="clip-enlarged",
    severity="warning",
    reads=("data.buckets",),
    check=check,
    page=__doc__,
)
