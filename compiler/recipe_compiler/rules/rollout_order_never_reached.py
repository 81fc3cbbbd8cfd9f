"""The order of UniPC is higher than rollouts are long.

What it does: compares `order` of `regularizers.rollout` with `max_step_offset`, where `sampler` is `unipc`. The sampler
begins with order 1, rises by one with each step and falls again to 1 at the end: order 2 takes three steps, order 3 takes
five.

Why it hurts: the run behaves as with a lower order, and an experiment seems to differ from another one.

Example:
    regularizers:
      rollout:
        max_step_offset: 4
        probability: 0.25
        sampler: unipc
        order: 3

Use instead:
    regularizers:
      rollout:
        max_step_offset: 5
        probability: 0.25
        sampler: unipc
        order: 3
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted


ROLLOUT = "regularizers.rollout"
OFFSET, SAMPLER, ORDER = (f"{ROLLOUT}.{key}" for key in ("max_step_offset", "sampler", "order"))


def check(facts: Facts) -> Iterator[Finding]:
    """Compare the order with the longest rollout."""
    settings = facts.settings
    longest, order = settings[OFFSET], settings[ORDER]
    needed = 2 * order - 1
    if not longest or settings[SAMPLER] != "unipc" or not settings.given(ORDER) or longest >= needed:
        return
    reached = (longest + 1) // 2
    yield Finding(
        at=ORDER,
        message=f"order {order} takes rollouts of {counted(needed, 'timestep')}, and the longest has {longest}: the highest "
        f"that is reached is {reached}",
        help=f"take `order: {reached}`, or longer rollouts",
        fix=str(reached),
        also=((OFFSET, "the longest rollout"),),
    )


RULE = Rule(
    code="R431",
    name="rollout-order-never-reached",
    severity="warning",
    reads=(OFFSET, SAMPLER, ORDER),
    check=check,
    page=__doc__,
)
