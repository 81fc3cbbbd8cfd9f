"""Rollouts are asked for, and their share has no sensible course over the run.

What it does: follows the probability of `regularizers.rollout` over the run, where `max_step_offset` is more than 0. It
is an error if no sample is ever rolled out, or if rollouts begin after the last step; a ramp that outlasts training, or
falls, is a warning.

Why it hurts: the default probability is 0. Training would be the same as without rollouts; in SimpleTuner it even
costs a forward pass more in each step.

Example:
    regularizers:
      rollout:
        max_step_offset: 20

Use instead:
    regularizers:
      rollout:
        max_step_offset: 20
        probability: 0.25
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted


ROLLOUT, STEPS = "regularizers.rollout", "train.max_steps"
OFFSET, PROBABILITY, RAMP, START = (
    f"{ROLLOUT}.{key}" for key in ("max_step_offset", "probability", "ramp_steps", "start_step")
)
FIRST, LAST = f"{ROLLOUT}.prob_start", f"{ROLLOUT}.prob_end"


def check(facts: Facts) -> Iterator[Finding]:
    """Follow the share of rollouts over the run."""
    settings = facts.settings
    if settings[OFFSET] == 0:
        return
    ramp, first = settings[RAMP], settings[PROBABILITY]
    if ramp and settings[FIRST] is not None:
        first = settings[FIRST]
    last = settings[LAST] if ramp else first
    if first == last == 0:
        yield _never(facts)
    elif settings[STEPS] is not None and settings[START] >= settings[STEPS]:
        yield Finding(
            at=START,
            message=f"rollouts begin at step {settings[START]}, and training has {settings[STEPS]}",
            help="take a smaller step",
            also=((STEPS, "all of training"),),
        )
    else:
        yield from _ramp(facts, first, last)


def _never(facts: Facts) -> Finding:
    settings = facts.settings
    lone = [] if settings[RAMP] else [path for path in (FIRST, LAST) if settings.given(path)]
    at = next((path for path in (*lone, LAST, PROBABILITY) if settings.given(path)), OFFSET)
    return Finding(
        at=at,
        message=f"rollouts of up to {counted(settings[OFFSET], 'timestep')} are asked for, and their probability is 0",
        help="set `ramp_steps`: without it, prob_start and prob_end have no effect"
        if lone
        else "set `probability`, or `ramp_steps` and `prob_end`, or leave max_step_offset out",
        also=() if at == OFFSET else ((OFFSET, "asked for here"),),
    )


def _ramp(facts: Facts, first: float, last: float) -> Iterator[Finding]:
    settings, ramp, begin, steps = facts.settings, facts.settings[RAMP], facts.settings[START], facts.settings[STEPS]
    if last < first:
        yield Finding(
            at=LAST if settings.given(LAST) else RAMP,
            message=f"the share of rollouts falls from {first:g} to {last:g}",
            help="make prob_end larger: a model that is used to the task can do with more of its own inputs",
            severity="warning",
        )
    if ramp and steps is not None and begin + ramp > steps:
        yield Finding(
            at=RAMP,
            message=f"the ramp ends at step {begin + ramp}, and training has {steps}: it never comes to {last:g}",
            help=f"take {steps - begin} or less",
            also=((STEPS, "all of training"),),
            severity="warning",
        )


RULE = Rule(
    code="R414",
    name="rollout-course",
    severity="error",
    reads=(OFFSET, PROBABILITY, RAMP, START, FIRST, LAST, STEPS),
    check=check,
    page=__doc__,
)
