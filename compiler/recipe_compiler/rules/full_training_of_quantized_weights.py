"""All weights are to be trained, and to be quantized.

What it does: finds `model.base_model_precision` other than `no_change` together with `model.type: full`.

Why it hurts: a quantized weight has a few hundred values at most and can't take a step. Only frozen weights can be
quantized, and full fine-tuning freezes none. Where biases alone are trained (`layer_freeze_strategy: bitfit`), the rest is
frozen and goes into the export as it was; quantizing is for adapters alone.

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


PRECISION, TYPE, FREEZE = "model.base_model_precision", "model.type", "train.layer_freeze_strategy"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare what is trained with how it is stored."""
    precision, biases = facts.settings[PRECISION], facts.settings[FREEZE] == "bitfit"
    if facts.settings[TYPE] == "full" and precision != "no_change":
        yield Finding(
            at=PRECISION,
            message=f"`base_model_precision: {precision}` needs frozen weights, and `model.type: full` trains "
            + ("biases and stores the rest as it is" if biases else "all of them"),
            help="train an adapter with `model.type: lora`, or leave base_model_precision out",
            also=((TYPE, "no adapter is trained" if biases else "all weights are trained"),),
        )


RULE = Rule(
    code="R207",
    name="quantized-full-training",
    severity="error",
    reads=(PRECISION, TYPE, FREEZE),
    check=check,
    page=__doc__,
)
