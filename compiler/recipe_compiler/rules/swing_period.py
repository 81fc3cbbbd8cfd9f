"""The period of a curve of SimpleTuner's does not fit the length of training.

What it does: finds `simpletuner-cosine` and `simpletuner-sine` without `lr_schedule.period_steps`, and compares the
period with `train.max_steps`. These curves swing between the peak and `end` for ever; a period is half a swing. The
cosine begins at its peak. The sine begins half-way, is at its peak after half a period and at `end` after one and a half.

Why it hurts: with a short period the rate climbs again, to the peak if it happens so, while the end of training should
have the smallest steps. With a long one it never falls.

Example:
    lr_schedule:
      name: simpletuner-cosine
      period_steps: 4

Use instead:
    lr_schedule:
      name: simpletuner-cosine
      period_steps: 10
"""

import math
from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted


NAME, PERIOD, WARMUP = "lr_schedule.name", "lr_schedule.period_steps", "lr_schedule.warmup_steps"
STEPS, PEAK, END = "train.max_steps", "optimizer.learning_rate", "lr_schedule.end"
BEGINS_AT = {"simpletuner-cosine": 0.0, "simpletuner-sine": -0.5}
"""Where each begins on a cosine, in periods."""
SLACK = 0.07
"""Periods in which a curve moves by one hundredth of its height, near its ends."""


def check(facts: Facts) -> Iterator[Finding]:
    """Compare period and training."""
    settings, name, period = facts.settings, facts.settings[NAME], facts.settings[PERIOD]
    if name not in BEGINS_AT:
        return
    if period is not None:
        yield from _compare(facts, period)
    elif settings[WARMUP] == 0:  # else R403 says that it is the period
        yield Finding(
            at=NAME,
            message=f"`lr_schedule.name: {name}` has no `period_steps`",
            help="add `period_steps:` with SimpleTuner's lr_warmup_steps, or write "
            f"`name: {name.removeprefix('simpletuner-')}`, which spans all of training by itself",
            severity="error",
        )


def _compare(facts: Facts, period: int) -> Iterator[Finding]:
    settings, name = facts.settings, facts.settings[NAME]
    steps, peak, end = settings[STEPS], settings[PEAK], settings[END]
    if steps is None or end >= peak:
        return
    begin = BEGINS_AT[name]
    phase = begin + (steps - 1) / period
    last = end + (peak - end) * (1 + math.cos(math.pi * phase)) / 2
    also = ((STEPS, "all of training"),)
    advice = f"set `period_steps: {math.ceil(steps / (1 - begin))}` to reach `end` as training ends"
    if phase > 1 + SLACK:
        climbs = int((phase + 1) // 2)
        message = (
            f"the rate is at `end` after {math.ceil(period * (1 - begin))} of {steps} steps and climbs again, "
            f"{'once' if climbs == 1 else f'{climbs} times'}; the last step has {last:.3g}"
        )
        yield Finding(at=PERIOD, message=message, help=advice, also=also)
    elif begin + steps / period < -SLACK:
        message = (
            f"the rate climbs for {counted(period // 2, 'step')}, and training has {steps}: it never reaches its peak"
        )
        yield Finding(at=PERIOD, message=message, help=advice, also=also)
    elif (
        steps / period < 1 - SLACK and begin == 0
    ):  # the sine is half-way back at the end in SimpleTuner's own use of it
        message = f"the rate comes to `end` after {counted(period, 'step')}, and training has {steps}: it only falls to {last:.3g}"
        yield Finding(at=PERIOD, message=message, help=advice, also=also)


RULE = Rule(
    code="R408",
    name="period-against-length",
    severity="warning",
    reads=(NAME, PERIOD, WARMUP, STEPS, PEAK, END),
    check=check,
    page=__doc__,
)
