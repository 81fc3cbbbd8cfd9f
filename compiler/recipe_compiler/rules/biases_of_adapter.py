"""Biases alone are to be trained, and an adapter.

What it does: finds `train.layer_freeze_strategy: bitfit` together with `model.type: lora`.

Why it hurts: an adapter freezes the model, biases too, and has none of its own. One of both would be passed over.

Example:
    model:
      type: lora
    train:
      layer_freeze_strategy: bitfit

Use instead:
    model:
      type: full
    train:
      layer_freeze_strategy: bitfit
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


TYPE, STRATEGY = "model.type", "train.layer_freeze_strategy"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for both."""
    if facts.settings[TYPE] == "lora" and facts.settings[STRATEGY] == "bitfit":
        yield Finding(
            at=STRATEGY,
            message="`layer_freeze_strategy: bitfit` trains the model's biases, and `model.type: lora` freezes them",
            help="set `model.type: full` to train biases, or leave layer_freeze_strategy out to train the adapter",
            also=((TYPE, "an adapter is trained"),),
        )


RULE = Rule(code="R221", name="biases-of-adapter", severity="error", reads=(TYPE, STRATEGY), check=check, page=__doc__)
