"""The adapter's change is scaled far up or down.

What it does: finds `model.lora.alpha` above 8 times `model.lora.rank`, or below a sixteenth of it.

Why it hurts: the change is multiplied by alpha / rank, which acts much like a factor of the learning rate. Far from 1,
the adapter overshoots or hardly learns, and the learning rates that others publish don't fit.

Example:
    model:
      type: lora
      lora:
        rank: 64
        alpha: 1

Use instead:
    model:
      type: lora
      lora:
        rank: 64
        alpha: 64
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


TYPE, RANK, ALPHA = "model.type", "model.lora.rank", "model.lora.alpha"
LEAST, MOST = 1 / 16, 8


def check(facts: Facts) -> Iterator[Finding]:
    """Compare alpha and rank."""
    rank, alpha = facts.settings[RANK], facts.settings[ALPHA]
    if facts.settings[TYPE] == "lora" and not LEAST <= alpha / rank <= MOST:
        yield Finding(
            at=ALPHA,
            message=f"the adapter's change is scaled by {alpha / rank:g} (alpha {alpha:g} / rank {rank})",
            help=f"set `alpha: {rank}`, or half or double of that",
            also=((RANK, "the rank"),),
        )


RULE = Rule(
    code="R214",
    name="lora-scale-implausible",
    severity="warning",
    reads=(TYPE, RANK, ALPHA),
    check=check,
    page=__doc__,
)
