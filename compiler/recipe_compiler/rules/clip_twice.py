"""A data set holds a clip twice, with the same caption.

What it does: finds trained clips of one data set that are equal to the last byte and have the same texts.

Why it hurts: nothing is wrong with each of them, but together they weigh twice as much as others, without the recipe saying
so. Often they are leftovers of copying. Where that is wanted, `repeats` of a data set of its own says it.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: copied
          video:
            num_frames: 9

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import SHOWN, part_of, with_clips


def check(facts: Facts) -> Iterator[Finding]:
    """Find equal clips, one finding for each data set."""
    assert facts.survey is not None
    for table in with_clips(facts):
        name = facts.settings[f"{table}.id"]
        first: dict[tuple[str, ...], str] = {}
        rows = [row for row in facts.survey.of(name) if row.fate == "trained"]
        again = [
            f"{row.path} is {earlier}"
            for row in rows
            if (earlier := first.setdefault((row.sha256, *row.texts), row.path)) != row.path
        ]
        if again:
            rest = f"; and {len(again) - SHOWN} more" if len(again) > SHOWN else ""
            yield Finding(
                at=f"{table}.instance_data_dir",
                message=part_of(len(again), len(rows), f"clips of data set `{name}`", "are")
                + " there already, with the same bytes and captions",
                help=f"take one of each out of the folder, or set data.on_duplicate: skip: {'; '.join(again[:SHOWN])}{rest}",
            )


RULE = Rule(code="R332", name="clip-twice", severity="warning", reads=(), check=check, page=__doc__)
