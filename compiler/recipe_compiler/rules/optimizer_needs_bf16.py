"""The optimizer stores weights in bf16, and full precision is asked for.

What it does: finds `optimizer.name: adamw_bf16` and the `optimi-` optimizers together with
`train.mixed_precision: no`.

Why it hurts: `no` promises weights and arithmetic in fp32, and these optimizers keep weights in bf16. Whoever won,
one line of the recipe would be untrue.

Example:
    train:
      mixed_precision: no
    optimizer:
      name: adamw_bf16

Use instead:
    train:
      mixed_precision: bf16
    optimizer:
      name: adamw_bf16
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


NAME, PRECISION = "optimizer.name", "train.mixed_precision"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare optimizer and precision."""
    name = facts.settings[NAME]
    if facts.settings[PRECISION] == "no" and (name == "adamw_bf16" or name.startswith("optimi-")):
        yield Finding(
            at=NAME,
            message=f"`{name}` keeps weights in bf16, and `train.mixed_precision: no` asks for fp32",
            help="take `adamw`, or `train.mixed_precision: bf16`",
            also=((PRECISION, "full precision is asked for"),),
        )


RULE = Rule(
    code="R210", name="optimizer-needs-bf16", severity="error", reads=(NAME, PRECISION), check=check, page=__doc__
)
