"""Warm-up is given with a curve that has none.

What it does: finds `lr_schedule.warmup_steps` together with `lr_schedule.name: constant`, and a learning rate at
the end together with a curve that stays flat.

Why it hurts: the key would be ignored without a word.

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


def check(facts: Facts) -> Iterator[Finding]:
    """Find keys that the curve does not use."""
    settings, name = facts.settings, facts.settings[NAME]
    if name == "constant" and settings[WARMUP] > 0:
        yield Finding(
            at=WARMUP,
            message="`lr_schedule.name: constant` has no warm-up",
            help="write `name: constant_with_warmup`, or leave warmup_steps out",
            also=((NAME, "the curve"),),
        )
    if name.startswith("constant") and settings[END] > 0:
        yield Finding(
            at=END,
            message=f"`lr_schedule.name: {name}` stays at the peak and never comes to `end`",
            help="write `name: cosine` or `name: linear`, or leave end out",
            also=((NAME, "the curve"),),
        )


RULE = Rule(
    code="R403", name="warmup-without-effect", severity="error", reads=(NAME, WARMUP, END), check=check, page=__doc__
)
