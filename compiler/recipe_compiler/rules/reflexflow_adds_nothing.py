"""ReflexFlow is on, and adds nothing.

What it does: with rollouts and `reflexflow: true`, looks at the weights of its two terms. The anti-drift term has the weight
`reflexflow_beta1`, and the frequency compensation the product of `reflexflow_alpha` and `reflexflow_beta2`. If both are 0 it
finds them.

Why it hurts: an experiment seems to differ from another one, and does not.

Example:
    regularizers:
      rollout:
        max_step_offset: 20
        probability: 0.25
        reflexflow: true
        reflexflow_alpha: 0
        reflexflow_beta1: 0

Use instead:
    regularizers:
      rollout:
        max_step_offset: 20
        probability: 0.25
        reflexflow: true
        reflexflow_alpha: 0
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


ROLLOUT = "regularizers.rollout"
OFFSET, ON, ALPHA, DRIFT, FREQUENCY = (
    f"{ROLLOUT}.{key}"
    for key in ("max_step_offset", "reflexflow", "reflexflow_alpha", "reflexflow_beta1", "reflexflow_beta2")
)


def check(facts: Facts) -> Iterator[Finding]:
    """Look for a term with a weight."""
    settings = facts.settings
    if not settings[OFFSET] or not settings[ON] or settings[DRIFT] or settings[ALPHA] * settings[FREQUENCY]:
        return
    yield Finding(
        at=ON,
        message="`reflexflow` adds nothing: both of its terms have the weight 0",
        help="give one of them a weight, or leave it out",
        also=(
            (DRIFT, "the anti-drift term"),
            (FREQUENCY if settings[FREQUENCY] == 0 else ALPHA, "the frequency compensation"),
        ),
    )


RULE = Rule(
    code="R428",
    name="reflexflow-adds-nothing",
    severity="warning",
    reads=(OFFSET, ON, ALPHA, DRIFT, FREQUENCY),
    check=check,
    page=__doc__,
)
