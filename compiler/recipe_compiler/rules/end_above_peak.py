"""The learning rate is to end above its peak.

What it does: compares `lr_schedule.end` with `optimizer.learning_rate`.

Why it hurts: training would end with its largest steps.

Example:
    optimizer:
      learning_rate: 0.0001
    lr_schedule:
      name: cosine
      end: 0.001

Use instead:
    optimizer:
      learning_rate: 0.0001
    lr_schedule:
      name: cosine
      end: 0.000001
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


END, PEAK, NAME = "lr_schedule.end", "optimizer.learning_rate", "lr_schedule.name"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare end and peak."""
    end, peak = facts.settings[END], facts.settings[PEAK]
    if end > peak and not facts.settings[NAME].startswith("constant"):  # which never comes to its end
        yield Finding(
            at=END,
            message=f"`lr_schedule.end` is {end:g} and the peak is {peak:g}",
            help="make the end smaller than the peak",
            also=((PEAK, "the peak"),),
        )


RULE = Rule(code="R404", name="end-above-peak", severity="error", reads=(END, PEAK, NAME), check=check, page=__doc__)
