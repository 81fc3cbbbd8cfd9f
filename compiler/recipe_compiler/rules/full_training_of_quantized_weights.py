"""All weights are to be trained, and to be quantized.

What it does: finds `model.base_model_precision` other than `no_change` together with `model.type: full`.

Why it hurts: a quantized weight has a few hundred values at most and can't take a step. Only frozen weights can be
quantized, and full fine-tuning freezes none.

Example:
    model:
      type: full
      base_model_precision: int8-quanto

Use instead:
    model:
      type: lora
      base_model_precision: int8-quanto
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


PRECISION, TYPE = "model.base_model_precision", "model.type"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare what is trained with how it is stored."""
    precision = facts.settings[PRECISION]
    if facts.settings[TYPE] == "full" and precision != "no_change":
        yield Finding(
            at=PRECISION,
            message=f"`base_model_precision: {precision}` needs frozen weights, and `model.type: full` trains all of them",
            help="train an adapter with `model.type: lora`, or leave base_model_precision out",
            also=((TYPE, "all weights are trained"),),
        )


RULE = Rule(
    code="R207", name="quantized-full-training", severity="error", reads=(PRECISION, TYPE), check=check, page=__doc__
)
