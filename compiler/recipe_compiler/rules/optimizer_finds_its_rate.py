"""An optimizer that finds its own rate is given one.

What it does: finds a curve of `lr_schedule` that changes after warm-up together with `optimizer.name: schedule-free`,
and `optimizer.name: prodigy` with a learning rate other than 1.

Why it hurts: `schedule-free` averages weights in place of a falling rate; with both, the rate falls twice. `prodigy`
multiplies the rate that it finds by `learning_rate`: with 5e-5, a usual rate of others, it would hardly learn.

Example:
    optimizer:
      name: prodigy
      learning_rate: 5e-5

Use instead:
    optimizer:
      name: prodigy
      learning_rate: 1.0
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


NAME, RATE, CURVE = "optimizer.name", "optimizer.learning_rate", "lr_schedule.name"


def check(facts: Facts) -> Iterator[Finding]:
    """Look at curve and rate."""
    settings = facts.settings
    name, rate, curve = settings[NAME], settings[RATE], settings[CURVE]
    if name == "schedule-free" and not curve.startswith("constant"):
        yield Finding(
            at=CURVE,
            message=f"`{curve}` changes the rate over the run, and `schedule-free` takes the place of such a curve",
            help="write `name: constant_with_warmup`, or take another optimizer",
            fix="constant_with_warmup",
            also=((NAME, "the optimizer"),),
        )
    if name == "prodigy" and rate != 1:
        yield Finding(
            at=RATE if settings.given(RATE) else NAME,
            message=f"`prodigy` finds its own rate, and `optimizer.learning_rate` of {rate:g} is a factor of it",
            help="set `learning_rate: 1.0`",
            fix="1.0" if settings.given(RATE) else None,
            also=((NAME, "the optimizer"),) if settings.given(RATE) else (),
        )


RULE = Rule(
    code="R211",
    name="optimizer-finds-its-rate",
    severity="warning",
    reads=(NAME, RATE, CURVE),
    check=check,
    page=__doc__,
)
