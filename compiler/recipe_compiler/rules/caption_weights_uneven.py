"""Clips have another number of captions than there are weights.

What it does: counts clips whose caption file has more than one line, and not as many as `caption_weights` has numbers, and
likewise clips of which a table has a list. With several columns of captions in a table, numbers belong to columns instead.

Why it hurts: weights belong to lines by their order. With a line too few or too many, it can't be said which line is which:
the short caption could be drawn as often as the long one should be.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: lines
          multiline: split
          caption_weights: [90, 5, 5]
          video:
            num_frames: 9

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: lines
          multiline: split
          caption_weights: [95, 5]
          video:
            num_frames: 9
"""

from collections.abc import Iterator

from recipe_compiler.data.captions import caption_columns
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import SHOWN, counted, part_of, with_clips


KEY = "caption_weights"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare lines and weights, one finding for each data set."""
    assert facts.survey is not None
    settings = facts.settings
    for table in with_clips(facts):
        name, weights = settings[f"{table}.id"], settings[f"{table}.{KEY}"]
        if settings[f"{table}.multiline"] != "split" or weights is None or not any(weights) or _by_column(facts, table):
            continue
        lines = facts.survey.several_lines.get(name, {})
        others = [f"{path} ({count})" for path, count in lines.items() if count != len(weights)]
        if others:
            used = sum(row.used for row in facts.survey.of(name))
            more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
            yield Finding(
                at=f"{table}.{KEY}",
                message=f"`{KEY}` has {counted(len(weights), 'number')}, and "
                + part_of(len(others), used, f"captions of data set `{name}`", "have")
                + f" another number of lines: {', '.join(others[:SHOWN])}{more}",
                help="write as many numbers as the files have lines, in the same order; a caption of one line is always taken",
            )


def _by_column(facts: Facts, table: str) -> bool:
    """Say whether numbers belong to columns, or should: of that rule R780 speaks. Files of the hub have lines."""
    columns, weights = caption_columns(facts.settings, table), facts.settings[f"{table}.{KEY}"]
    hub = facts.settings[f"{table}.caption_strategy"] == "huggingface"
    return columns is not None and len(columns[1]) > 1 and not (hub and len(columns[1]) == len(weights))


RULE = Rule(code="R347", name="caption-weights-uneven", severity="error", reads=(), check=check, page=__doc__)
