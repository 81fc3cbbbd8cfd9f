"""No line of caption files has a weight above 0.

What it does: finds `caption_weights` that are all 0.

Why it hurts: a weight says how often a line is drawn, and 0 leaves it out. With all of them left out, clips have no caption.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          multiline: split
          caption_weights: [0, 0]

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          multiline: split
          caption_weights: [95, 5]
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Look at the weights of data sets in use."""
    for table in in_use(facts.settings, "caption_weights"):
        weights = facts.settings[f"{table}.caption_weights"]
        if weights is not None and not any(weights):
            yield Finding(
                at=f"{table}.caption_weights",
                message="`caption_weights` is 0 for every line, and a caption can only be drawn with a weight above 0",
                help="give each line of the caption files a weight, as in `[95, 5]`, or leave it out: all are drawn alike",
            )


RULE = Rule(code="R348", name="caption-weights-zero", severity="error", reads=(), check=check, page=__doc__)
