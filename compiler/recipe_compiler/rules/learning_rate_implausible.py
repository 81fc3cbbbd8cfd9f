"""The learning rate is far above what trains a model like this.

What it does: finds `optimizer.learning_rate` above 0.01, but for `prodigy`, to which it is a factor.

Why it hurts: the weights are thrown about and the loss turns NaN, hours later. Often a minus sign was lost: `5e-5` is
0.00005. Fine-tuning takes 1e-6 to 1e-4; a small model from random weights may take 1e-3.

Example:
    optimizer:
      learning_rate: 0.05

Use instead:
    optimizer:
      learning_rate: 5e-5
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


RATE, NAME = "optimizer.learning_rate", "optimizer.name"
MOST = 0.01


def check(facts: Facts) -> Iterator[Finding]:
    """Compare the rate with what is known to work."""
    rate, usual = facts.settings[RATE], facts.settings.family.default("learning_rate")
    if rate > MOST and facts.settings[NAME] != "prodigy":
        yield Finding(
            at=RATE,
            message=f"a learning rate of {rate:g} is {rate / usual:,.0f} times that of the authors",
            help=f"take about {usual:g}",
        )


RULE = Rule(
    code="R406",
    name="learning-rate-implausible",
    severity="warning",
    reads=(RATE, NAME),
    check=check,
    page=__doc__,
)
