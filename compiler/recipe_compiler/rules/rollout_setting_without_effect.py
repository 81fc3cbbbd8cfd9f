"""A setting of rollouts has no effect beside the others.

What it does: finds keys of `regularizers.rollout` that wait for a ramp, for the sampler `unipc` or for `reflexflow`, and
a `probability` that a ramp replaces.

Why it hurts: an experiment seems to differ from another one, and does not.

Example:
    regularizers:
      rollout:
        max_step_offset: 20
        probability: 0.5
        prob_end: 0.8

Use instead:
    regularizers:
      rollout:
        max_step_offset: 20
        probability: 0.5
        prob_end: 0.8
        ramp_steps: 5
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.switched_off import Switch, without_effect


ROLLOUT = "regularizers.rollout"
OFFSET, PROBABILITY, RAMP, FIRST = (
    f"{ROLLOUT}.{key}" for key in ("max_step_offset", "probability", "ramp_steps", "prob_start")
)
SAMPLER, REFLEXFLOW = f"{ROLLOUT}.sampler", f"{ROLLOUT}.reflexflow"
RAMPED = tuple(
    Switch(f"{ROLLOUT}.{key}", (RAMP,), "set `ramp_steps`", off=(0,))
    for key in ("prob_start", "prob_end", "ramp_shape")
)
OTHERS = (
    Switch(f"{ROLLOUT}.order", (SAMPLER,), "set `sampler: unipc`", on=("unipc",)),
    *(
        Switch(f"{ROLLOUT}.reflexflow_{key}", (REFLEXFLOW,), "set `reflexflow: true`", off=(False,))
        for key in ("alpha", "beta1", "beta2")
    ),
)


def check(facts: Facts) -> Iterator[Finding]:
    """Find settings that wait for others."""
    settings = facts.settings
    if not settings[OFFSET]:
        return
    never = not settings[RAMP] and not settings[PROBABILITY]  # R414 says so
    for switch in OTHERS if never else (*RAMPED, *OTHERS):
        yield from without_effect(settings, switch)
    if settings.given(PROBABILITY) and settings[RAMP] and settings[FIRST] is not None:
        yield Finding(
            at=PROBABILITY,
            message="`probability` has no effect: the ramp goes from `prob_start` to `prob_end`",
            help="leave it out, or prob_start",
            also=((FIRST, "taken in its place"),),
        )


RULE = Rule(
    code="R420",
    name="rollout-setting-without-effect",
    severity="warning",
    reads=(OFFSET, PROBABILITY, RAMP, FIRST),
    check=check,
    page=__doc__,
)
