"""The average of weights is a copy of them to the end.

What it does: compares `ema.warmup_steps` with `train.max_steps`.

Why it hurts: while it warms up, the average copies the weights. A warm-up as long as training makes it the last
weights, and all its memory and time are spent for nothing.

Example:
    train:
      max_steps: 10
    ema:
      enabled: true
      decay: 0.5
      warmup_steps: 10

Use instead:
    train:
      max_steps: 10
    ema:
      enabled: true
      decay: 0.5
      warmup_steps: 2
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted


ENABLED, WARMUP, STEPS = "ema.enabled", "ema.warmup_steps", "train.max_steps"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare warm-up and training."""
    warmup, steps = facts.settings[WARMUP], facts.settings[STEPS]
    if facts.settings[ENABLED] and steps is not None and warmup >= steps:
        yield Finding(
            at=WARMUP,
            message=f"the average copies the weights for {counted(warmup, 'step')} and training takes only {steps}",
            help="take a shorter warm-up, or leave the average out",
            also=((STEPS, "all of training"),),
        )


RULE = Rule(
    code="R213", name="ema-only-copies", severity="error", reads=(ENABLED, WARMUP, STEPS), check=check, page=__doc__
)
