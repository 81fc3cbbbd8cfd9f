"""Clips are smaller than the size at which they are trained.

What it does: counts clips that have to be enlarged by more than a quarter to cover their bucket.

Why it hurts: the model learns to draw what enlarging looks like. Smaller sizes in `data.buckets`, or a smaller
`resolution` of the data set, avoid it; `minimum_image_size` leaves small clips out.

Example:
    data:
      buckets: [192x128]

Use instead:
    data:
      buckets: [96x64]
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import SHOWN, part_of, with_clips


MOST = 1.25


def check(facts: Facts) -> Iterator[Finding]:
    """Count enlarged clips, one finding for each data set."""
    assert facts.survey is not None
    for table in with_clips(facts):
        name = facts.settings[f"{table}.id"]
        rows = [row for row in facts.survey.of(name) if row.used]
        small = [row for row in rows if row.resize_width > row.width * MOST]
        if small:
            shown = ", ".join(f"{row.path} ({row.width}x{row.height})" for row in small[:SHOWN])
            rest = f" and {len(small) - SHOWN} more" if len(small) > SHOWN else ""
            own = facts.settings[f"{table}.resolution"] is not None
            sizes = f"{table}.resolution" if own else "data.buckets"
            cure = "a smaller `resolution`" if own else "smaller sizes in `data.buckets`"
            yield Finding(
                at=sizes if facts.settings.given(sizes) else table,
                message=part_of(len(small), len(rows), f"clips of data set `{name}`", "are")
                + " enlarged by more than a quarter",
                help=f"take {cure}, or larger clips: {shown}{rest}",
            )


RULE = Rule(
    code="R316",
    name="clip-enlarged",
    severity="warning",
    reads=("data.buckets",),
    check=check,
    page=__doc__,
)
