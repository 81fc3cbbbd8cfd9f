"""Clips have fewer frames a second than are trained.

What it does: counts clips whose own frame rate is more than a tenth below `data.framerate`.

Why it hurts: frames are shown twice to fill the gaps, and the model learns to stutter. Clips of a higher rate are
resampled by their timestamps and do no harm.

Example:
    data:
      framerate: 32

Use instead:
    data:
      framerate: 16
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import SHOWN, part_of, with_clips


RATE = "data.framerate"
LEAST = 0.9


def check(facts: Facts) -> Iterator[Finding]:
    """Count slow clips, one finding for each data set."""
    assert facts.survey is not None
    rate = facts.settings[RATE]
    for table in with_clips(facts):
        if facts.settings[f"{table}.video.fps"] == "ignore" or facts.settings[f"{table}.dataset_type"] == "image":
            continue
        name = facts.settings[f"{table}.id"]
        rows = [row for row in facts.survey.of(name) if row.used]
        slow = [row for row in rows if row.fps < rate * LEAST]
        if slow:
            shown = ", ".join(f"{row.path} ({row.fps:.4g} fps)" for row in slow[:SHOWN])
            rest = f" and {len(slow) - SHOWN} more" if len(slow) > SHOWN else ""
            yield Finding(
                at=RATE if facts.settings.given(RATE) else table,
                message=part_of(len(slow), len(rows), f"clips of data set `{name}`", "have")
                + f" fewer than {rate:g} frames a second",
                help=f"their frames are repeated: {shown}{rest}",
            )


RULE = Rule(
    code="R317",
    name="framerate-above-source",
    severity="warning",
    reads=(RATE,),
    check=check,
    page=__doc__,
)
