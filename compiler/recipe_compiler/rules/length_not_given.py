"""The length of training is given twice, or not at all.

What it does: checks that exactly one of `train.max_steps` and `train.num_epochs` is given.

Why it hurts: with both, one of them would have to lose without a word.

Example:
    train:
      max_steps: 10
      num_epochs: 2

Use instead:
    train:
      max_steps: 10
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


STEPS, EPOCHS = "train.max_steps", "train.num_epochs"


def check(facts: Facts) -> Iterator[Finding]:
    """Count what is given."""
    steps, epochs = facts.settings[STEPS], facts.settings[EPOCHS]
    if steps is not None and epochs is not None:
        yield Finding(
            at=EPOCHS,
            message="both `train.max_steps` and `train.num_epochs` are given",
            help="keep one of them",
            also=((STEPS, "given here"),),
        )
    if steps is None and epochs is None:
        yield Finding(
            at="train",
            message="neither `train.max_steps` nor `train.num_epochs` is given",
            help="add one of them, such as `max_steps: 2000`",
        )


RULE = Rule(code="R401", name="length-not-given", severity="error", reads=(STEPS, EPOCHS), check=check, page=__doc__)
