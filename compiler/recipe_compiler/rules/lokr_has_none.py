"""A setting of LoRA is given to a Kronecker product.

What it does: finds `model.lora.type: lokr` together with `model.lora.dropout` above 0, or a `model.lora.init` other than
`default`.

Why it hurts: LoKr multiplies the input with the whole change at once, so that there is no input of a first half to drop
from, and its two factors are no A and B that could begin as a part of the weights. The setting would be passed over.

Example:
    model:
      type: lora
      lora:
        type: lokr
        dropout: 0.1

Use instead:
    model:
      type: lora
      lora:
        type: lokr
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


TYPE, KIND = "model.type", "model.lora.type"
DROPOUT, INIT = "model.lora.dropout", "model.lora.init"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for what only LoRA has."""
    settings = facts.settings
    if settings[TYPE] != "lora" or settings[KIND] != "lokr":
        return
    asked = []
    if settings.fine(DROPOUT) and settings[DROPOUT] > 0:
        asked.append((DROPOUT, f"`dropout: {settings[DROPOUT]:g}`", "drops inputs of A"))
    if settings.fine(INIT) and settings[INIT] != "default":
        asked.append((INIT, f"`init: {settings[INIT]}`", "is a way for A and B to begin"))
    for path, shown, use in asked:
        yield Finding(
            at=path,
            message=f"{shown} {use}, and `model.lora.type: lokr` has neither A nor B",
            help="leave it out, or take `type: standard`",
            also=((KIND, "the form of the adapter"),),
        )


RULE = Rule(code="R219", name="lokr-has-none", severity="error", reads=(TYPE, KIND), check=check, page=__doc__)
