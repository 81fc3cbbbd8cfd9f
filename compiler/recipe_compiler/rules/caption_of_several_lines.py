"""Clips have captions of several lines, columns or texts.

What it does: counts clips whose caption file has more than one line with text, or of which several columns or a list of a
table hold texts, in data sets that don't say `multiline`.

Why it hurts: SimpleTuner takes each line for a caption of its own and draws one of them. Here, the whole file is one
caption, its lines joined, unless `multiline: split` is given. Files and rows with several captions would be trained as one
long text.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: lines
          video:
            num_frames: 9

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: lines
          multiline: whole
          video:
            num_frames: 9
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import SHOWN, part_of, with_clips


def check(facts: Facts) -> Iterator[Finding]:
    """Count captions of several lines, one finding for each data set."""
    assert facts.survey is not None
    for table in with_clips(facts):
        name = facts.settings[f"{table}.id"]
        several = tuple(facts.survey.several_lines.get(name, ()))
        if several and not facts.settings.given(f"{table}.multiline"):
            shown = ", ".join(several[:SHOWN]) + (f" and {len(several) - SHOWN} more" if len(several) > SHOWN else "")
            trained = sum(row.used for row in facts.survey.of(name))
            yield Finding(
                at=f"{table}.caption_strategy" if facts.settings.given(f"{table}.caption_strategy") else table,
                message=part_of(len(several), trained, f"captions of data set `{name}`", "have")
                + f" several lines: {shown}",
                help="they are joined to one caption here, and one for each line in SimpleTuner: say `multiline: whole` or `split`",
            )


RULE = Rule(code="R328", name="caption-of-several-lines", severity="warning", reads=(), check=check, page=__doc__)
