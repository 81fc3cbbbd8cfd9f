"""DoRA is asked for on quantized weights.

What it does: finds `model.lora.use_dora` together with a `model.base_model_precision` of quanto.

Why it hurts: DoRA trains the length of each row of a weight, and so computes with the weight itself in every step.
quanto's weights can't be added to, and the run would fail once the model is loaded. Those that torchao packs can.

Example:
    model:
      type: lora
      base_model_precision: int8-quanto
      lora:
        use_dora: true

Use instead:
    model:
      type: lora
      base_model_precision: int8-torchao
      lora:
        use_dora: true
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


PRECISION, TYPE, DORA = "model.base_model_precision", "model.type", "model.lora.use_dora"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for both."""
    settings = facts.settings
    precision = settings[PRECISION]
    if settings[TYPE] == "lora" and settings[DORA] and precision.endswith("-quanto"):
        yield Finding(
            at=DORA,
            message=f"`use_dora` computes with the weights themselves, which `base_model_precision: {precision}` quantizes",
            help="leave use_dora out to train LoRA on quantized weights, take one of torchao's formats, or set "
            "`base_model_precision: no_change`",
            also=((PRECISION, "quantized here"),),
        )


RULE = Rule(
    code="R217",
    name="dora-of-quantized-weights",
    severity="error",
    reads=(PRECISION, TYPE, DORA),
    check=check,
    page=__doc__,
)
