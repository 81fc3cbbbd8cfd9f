"""Warm-up lasts as long as training, or longer.

What it does: compares `lr_schedule.warmup_steps` with `train.max_steps`, for curves that have a warm-up.

Why it hurts: the learning rate never reaches its peak. In SimpleTuner's cosine and sine the key `lr_warmup_steps` means
the period instead, and published configurations set it to all steps; here it is warm-up, whatever the curve.

Example:
    train:
      max_steps: 10
    lr_schedule:
      name: cosine
      warmup_steps: 10

Use instead:
    train:
      max_steps: 10
    lr_schedule:
      name: cosine
      warmup_steps: 2
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted


WARMUP, STEPS, NAME = "lr_schedule.warmup_steps", "train.max_steps", "lr_schedule.name"
WITHOUT = ("constant", "simpletuner-cosine", "simpletuner-sine")
PERIODIC_ELSEWHERE = ("cosine", "sine")


def check(facts: Facts) -> Iterator[Finding]:
    """Compare warm-up and training."""
    warmup, steps, name = facts.settings[WARMUP], facts.settings[STEPS], facts.settings[NAME]
    if steps is not None and warmup >= steps and name not in WITHOUT:
        yield Finding(
            at=WARMUP,
            message=f"warm-up takes {counted(warmup, 'step')} and training only {steps}",
            help=_advice(name, warmup),
            also=((STEPS, "all of training"),),
        )


def _advice(name: str, warmup: int) -> str:
    if name not in PERIODIC_ELSEWHERE:
        return "leave warmup_steps out, or take about a twentieth of max_steps"
    some = "" if name == "sine" else ", or take about a twentieth of max_steps"
    return (
        f"a {name} spans all of training by itself: leave warmup_steps out{some}; if it is SimpleTuner's period, "
        f"write `name: simpletuner-{name}` and `period_steps: {warmup}`"
    )


RULE = Rule(
    code="R402", name="warmup-too-long", severity="error", reads=(WARMUP, STEPS, NAME), check=check, page=__doc__
)
