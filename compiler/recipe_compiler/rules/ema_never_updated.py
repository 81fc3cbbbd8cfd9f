"""The average of weights is never updated.

What it does: compares `ema.update_interval` with `train.max_steps`.

Why it hurts: an average that never moves is exported in place of the trained weights.

Example:
    ema:
      enabled: true
      update_interval: 500

Use instead:
    ema:
      enabled: true
      update_interval: 2
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


ENABLED, INTERVAL, STEPS = "ema.enabled", "ema.update_interval", "train.max_steps"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare interval and training."""
    interval, steps = facts.settings[INTERVAL], facts.settings[STEPS]
    if facts.settings[ENABLED] and steps is not None and interval > steps:
        yield Finding(
            at=INTERVAL,
            message=f"the average is updated every {interval} steps and training takes {steps}",
            help="take a smaller interval, such as 1",
            also=((STEPS, "all of training"),),
        )


RULE = Rule(
    code="R204", name="ema-never-updated", severity="error", reads=(ENABLED, INTERVAL, STEPS), check=check, page=__doc__
)
