"""An adapter is to begin with a part of the weights, and with something else.

What it does: finds `model.lora.init: pissa` or `olora` together with `model.lora.init_from`, or with `use_dora`.

Why it hurts: both take the first part of each weight out of it and train that. An adapter to go on from would take the
place of that part, which the weights then lack; and the lengths that DoRA trains can't be told from the part when the
adapter is exported for the weights as they were.

Example:
    model:
      type: lora
      lora:
        init: pissa
        use_dora: true

Use instead:
    model:
      type: lora
      lora:
        init: pissa
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


TYPE, KIND, INIT = "model.type", "model.lora.type", "model.lora.init"
FROM, DORA = "model.lora.init_from", "model.lora.use_dora"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for what does not go with a part of the weights."""
    settings = facts.settings
    init = settings[INIT]
    if settings[TYPE] != "lora" or settings[KIND] != "standard" or init not in ("pissa", "olora"):
        return
    if settings.fine(FROM) and settings[FROM] is not None:
        yield Finding(
            at=INIT,
            message=f"`init: {init}` begins with a part of the weights, and `init_from` with another adapter",
            help="leave one of them out",
            also=((FROM, "the other beginning"),),
        )
    if settings.fine(DORA) and settings[DORA]:
        yield Finding(
            at=INIT,
            message=f"`init: {init}` takes a part out of the weights, whose lengths `use_dora` trains",
            help="leave one of them out",
            also=((DORA, "the lengths of weights"),),
        )


RULE = Rule(code="R220", name="split-unfit", severity="error", reads=(TYPE, KIND, INIT), check=check, page=__doc__)
