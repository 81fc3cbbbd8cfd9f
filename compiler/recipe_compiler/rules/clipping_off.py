"""A way of clipping is chosen, and clipping is off.

What it does: finds `train.grad_clip_method` together with `train.max_grad_norm: 0`.

Why it hurts: published configurations hold this pair; it means no clipping at all. The authors clip the norm to 0.1.

Example:
    train:
      max_grad_norm: 0.0
      grad_clip_method: value

Use instead:
    train:
      max_grad_norm: 0.1
      grad_clip_method: norm
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


METHOD, NORM = "train.grad_clip_method", "train.max_grad_norm"


def check(facts: Facts) -> Iterator[Finding]:
    """Find a method without a limit."""
    if facts.settings.given(METHOD) and facts.settings[NORM] == 0:
        yield Finding(
            at=METHOD,
            message="`train.grad_clip_method` has no effect: `max_grad_norm: 0` turns clipping off",
            help="set `max_grad_norm: 0.1`, as the authors do, or leave grad_clip_method out",
            also=((NORM, "clipping is off"),),
        )


RULE = Rule(code="R405", name="clipping-off", severity="warning", reads=(METHOD, NORM), check=check, page=__doc__)
