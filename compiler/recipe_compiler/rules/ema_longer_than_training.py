"""The average of weights remembers more steps than training takes.

What it does: compares the memory of the average, 1 / (1 - `ema.decay`) steps, with `train.max_steps`.

Why it hurts: the average starts as the weights before training, and the average is what is exported. After as many
steps as its memory, 37 % of it are still those weights; after a tenth of that, 90 %. The run looks as if it had
learnt nothing. `ema.warmup: ramp`, the default, has no such beginning.

Example:
    train:
      max_steps: 500
    ema:
      enabled: true
      warmup: none
      decay: 0.9999
      warmup: none

Use instead:
    train:
      max_steps: 500
    ema:
      enabled: true
      warmup: none
      decay: 0.98
      warmup: none
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


ENABLED, DECAY, STEPS = "ema.enabled", "ema.decay", "train.max_steps"
INTERVAL, WARMUP, COPY = "ema.update_interval", "ema.warmup", "ema.warmup_steps"
MEMORIES = 10  # a run of so many memories leaves nothing of the first weights


def check(facts: Facts) -> Iterator[Finding]:
    """Compare memory and training."""
    settings = facts.settings
    steps, decay = settings[STEPS], settings[DECAY]
    if not settings[ENABLED] or steps is None or settings[INTERVAL] > steps:
        return
    if settings[WARMUP] == "ramp" or settings[COPY] > 0:
        return  # it does not start as the weights before training
    if round(1 / (1 - decay)) > steps:
        yield Finding(
            at=DECAY if settings.given(DECAY) else ENABLED,
            message=f"the average remembers {1 / (1 - decay):,.0f} steps (decay {decay:g}) and training takes {steps:,}: "
            f"{decay**steps:.0%} of it would be the weights before training",
            help=f"set `decay: {_fitting(steps)}`, or train longer",
            also=((STEPS, "all of training"),),
        )


def _fitting(steps: int) -> str:
    """Return the decay whose memory is a tenth of the run, as a number that people would write."""
    share = float(f"{min(MEMORIES / steps, 0.5):.1g}")
    return repr(round(1 - share, 10))


RULE = Rule(
    code="R212",
    name="ema-longer-than-training",
    severity="warning",
    reads=(ENABLED, DECAY, STEPS, INTERVAL, WARMUP, COPY),
    check=check,
    page=__doc__,
)
