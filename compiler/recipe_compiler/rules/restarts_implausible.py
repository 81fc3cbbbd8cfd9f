"""A cosine with restarts that never restarts, or at every step.

What it does: finds `lr_schedule.name: cosine_with_restarts` with one cycle, which is the default of `num_cycles`, and
with so many cycles that one has fewer than two steps.

Why it hurts: one cycle is a plain cosine, so that what was asked for does not happen. With cycles of a step or less, the
rate jumps about.

Example:
    lr_schedule:
      name: cosine_with_restarts

Use instead:
    lr_schedule:
      name: cosine_with_restarts
      num_cycles: 3
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted


NAME, CYCLES = "lr_schedule.name", "lr_schedule.num_cycles"
STEPS, WARMUP = "train.max_steps", "lr_schedule.warmup_steps"


def check(facts: Facts) -> Iterator[Finding]:
    """Count the cycles."""
    settings, cycles = facts.settings, facts.settings[CYCLES]
    if settings[NAME] != "cosine_with_restarts":
        return
    left = None if settings[STEPS] is None else settings[STEPS] - settings[WARMUP]
    if cycles == 1:
        yield Finding(
            at=CYCLES if settings.given(CYCLES) else NAME,
            message="one cycle never starts anew: this is `cosine`",
            help="set `num_cycles` to 2 or more, or write `name: cosine`",
        )
    elif left is not None and 0 < left < 2 * cycles:
        yield Finding(
            at=CYCLES,
            message=f"{cycles} cycles in {counted(left, 'step')} after warm-up: a cycle has fewer than two steps",
            help="take fewer cycles",
            also=((STEPS, "all of training"),),
        )


RULE = Rule(
    code="R421",
    name="restarts-implausible",
    severity="warning",
    reads=(NAME, CYCLES, STEPS, WARMUP),
    check=check,
    page=__doc__,
)
