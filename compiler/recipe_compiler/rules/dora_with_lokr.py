"""Two forms of adapter are asked for at once.

What it does: finds `model.lora.use_dora` together with `model.lora.type: lokr`.

Why it hurts: DoRA trains the length of weights beside the change that LoRA makes. A Kronecker product takes the place
of that change.

Example:
    model:
      type: lora
      lora:
        type: lokr
        use_dora: true

Use instead:
    model:
      type: lora
      lora:
        use_dora: true
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


TYPE, KIND, DORA = "model.type", "model.lora.type", "model.lora.use_dora"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for both."""
    settings = facts.settings
    if settings[TYPE] == "lora" and settings[KIND] == "lokr" and settings[DORA]:
        yield Finding(
            at=DORA,
            message="`use_dora` needs `type: standard`, and `model.lora.type` is lokr",
            help="leave use_dora out, or take `type: standard`",
            also=((KIND, "the other form"),),
        )


RULE = Rule(code="R215", name="dora-with-lokr", severity="error", reads=(TYPE, KIND, DORA), check=check, page=__doc__)
