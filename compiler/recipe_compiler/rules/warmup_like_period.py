"""A warm-up that looks like the period of SimpleTuner's cosine or sine.

What it does: finds a warm-up of half of training or more with `lr_schedule.name: cosine`, and any warm-up with
`sine`.

Why it hurts: SimpleTuner reads the period of these curves from `lr_warmup_steps`; here the key is a warm-up. A cosine
would climb for most of the run, where it should fall. A sine climbs by itself: after a warm-up it would drop from the
peak to `end` at once and climb again.

Example:
    lr_schedule:
      name: cosine
      warmup_steps: 8

Use instead:
    lr_schedule:
      name: cosine
      warmup_steps: 1
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted


NAME, WARMUP, STEPS = "lr_schedule.name", "lr_schedule.warmup_steps", "train.max_steps"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare warm-up and training."""
    name, warmup, steps = facts.settings[NAME], facts.settings[WARMUP], facts.settings[STEPS]
    if not warmup or (steps is not None and warmup >= steps):  # the latter is R402's
        return
    if name == "sine":
        yield Finding(
            at=WARMUP,
            message=f"after a warm-up of {counted(warmup, 'step')}, `sine` drops to `end` at once and climbs a second time",
            help="leave warmup_steps out; if it is SimpleTuner's period, write `name: simpletuner-sine` and "
            f"`period_steps: {warmup}`",
            also=((NAME, "climbs by itself"),),
        )
    elif name == "cosine" and steps is not None and 2 * warmup >= steps:
        yield Finding(
            at=WARMUP,
            message=f"warm-up takes {warmup} of {counted(steps, 'step')}: here the key is no period, and the rate climbs all that time",
            help="leave warmup_steps out, or take about a twentieth of max_steps; if it is SimpleTuner's period, write "
            f"`name: simpletuner-cosine` and `period_steps: {warmup}`",
            also=((STEPS, "all of training"),),
        )


RULE = Rule(
    code="R409", name="warmup-like-period", severity="warning", reads=(NAME, WARMUP, STEPS), check=check, page=__doc__
)
