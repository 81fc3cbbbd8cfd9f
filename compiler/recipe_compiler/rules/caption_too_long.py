"""A caption is longer than the text encoder's window.

What it does: estimates the tokens of each caption, at four characters a token, and compares them with the 300 that the
model sees.

Why it hurts: the end of the caption, and the motion score behind it, would be cut off without a word.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: wordy
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


CHARACTERS_PER_TOKEN = 4
"""Of English text under Gemma's tokenizer, rounded down."""


def check(facts: Facts) -> Iterator[Finding]:
    """Find long captions, one finding for each data set."""
    assert facts.survey is not None
    tokens: int = facts.settings.family.raw["text"]["max_sequence_length"]
    for table in with_clips(facts):
        name = facts.settings[f"{table}.id"]
        rows = [row for row in facts.survey.of(name) if row.used]
        lengths = {row.path: max(map(len, row.texts)) // CHARACTERS_PER_TOKEN for row in rows}
        long = [row for row in rows if max(map(len, row.texts)) > tokens * CHARACTERS_PER_TOKEN]
        if long:
            shown = ", ".join(f"{row.path} (about {lengths[row.path]})" for row in long[:SHOWN])
            rest = f" and {len(long) - SHOWN} more" if len(long) > SHOWN else ""
            yield Finding(
                at=table,
                message=part_of(len(long), len(rows), f"captions of data set `{name}`", "have")
                + f" more than {tokens} tokens",
                help=f"shorten {shown}{rest}: what goes beyond is cut off",
            )


RULE = Rule(code="R314", name="caption-too-long", severity="warning", reads=(), check=check, page=__doc__)
