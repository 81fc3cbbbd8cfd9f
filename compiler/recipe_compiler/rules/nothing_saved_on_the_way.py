"""No checkpoint is saved before the end.

What it does: compares `checkpoints.step_interval` with `train.max_steps`, where the interval is given and neither
`rolling_steps` nor `epoch_interval` saves on the way.

Why it hurts: a run that is stopped by a crash begins anew. (A signal such as Ctrl-C saves in any case.)

Example:
    checkpoints:
      step_interval: 1000

Use instead:
    checkpoints:
      step_interval: 5
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


INTERVAL, STEPS = "checkpoints.step_interval", "train.max_steps"
ROLLING, EPOCHS = "checkpoints.rolling_steps", "checkpoints.epoch_interval"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare interval and training."""
    settings, interval, steps = facts.settings, facts.settings[INTERVAL], facts.settings[STEPS]
    if not settings.given(INTERVAL) or steps is None or interval <= steps or settings[EPOCHS] is not None:
        return
    if settings[ROLLING] is None or settings[ROLLING] > steps:
        yield Finding(
            at=INTERVAL,
            message=f"a checkpoint every {interval} steps is none before the end: training takes {steps}",
            help="take a smaller interval",
            also=((STEPS, "all of training"),),
        )


RULE = Rule(
    code="R407",
    name="nothing-saved-on-the-way",
    severity="warning",
    reads=(INTERVAL, STEPS, ROLLING, EPOCHS),
    check=check,
    page=__doc__,
)
