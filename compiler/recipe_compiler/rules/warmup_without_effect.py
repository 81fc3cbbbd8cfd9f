"""Warm-up is given with a curve that has none.

What it does: finds `lr_schedule.warmup_steps` together with `constant` or one of SimpleTuner's curves, and a learning
rate at the end together with a curve that stays flat.

Why it hurts: the key would be ignored without a word. For SimpleTuner's own curves, what that trainer calls warm-up is
their period.

Example:
    lr_schedule:
      name: constant
      warmup_steps: 5

Use instead:
    lr_schedule:
      name: constant_with_warmup
      warmup_steps: 5
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


NAME, WARMUP, END = "lr_schedule.name", "lr_schedule.warmup_steps", "lr_schedule.end"
PERIOD, OPTIMIZER = "lr_schedule.period_steps", "optimizer.name"


def check(facts: Facts) -> Iterator[Finding]:
    """Find keys that the curve does not use."""
    settings, name = facts.settings, facts.settings[NAME]
    if settings[WARMUP] > 0 and (name == "constant" or name.startswith("simpletuner-")):
        yield Finding(
            at=WARMUP,
            message=f"`lr_schedule.name: {name}` has no warm-up",
            help=_instead_of_warmup(facts),
            also=((NAME, "the curve"),),
        )
    if name.startswith("constant") and settings[END] > 0:
        yield Finding(
            at=END,
            message=f"`lr_schedule.name: {name}` stays at the peak and never comes to `end`",
            help="leave end out"
            if settings[OPTIMIZER] == "schedule-free"
            else "write `name: cosine` or `name: linear`, or leave end out",
            also=((NAME, "the curve"),),
        )


def _instead_of_warmup(facts: Facts) -> str:
    if facts.settings[NAME] == "constant":
        return "write `name: constant_with_warmup`, or leave warmup_steps out"
    if facts.settings[PERIOD] is None:
        return (
            f"SimpleTuner's key of that name is the period: write `period_steps: {facts.settings[WARMUP]}` in its place"
        )
    return "leave warmup_steps out: period_steps has taken its place"


RULE = Rule(
    code="R403",
    name="warmup-without-effect",
    severity="error",
    reads=(NAME, WARMUP, END, PERIOD),
    check=check,
    page=__doc__,
)
