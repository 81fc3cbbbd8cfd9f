"""An adapter is meant for a layer that the model does not have.

What it does: compares each entry of `model.lora.target_modules` with the names of the transformer's linear and
convolution layers. An entry is the whole name or the end of it from a dot on, and `*` stands for any part. LoRA
can't be added to `ff.conv_depth`: it has one filter for each channel, and no rank to lower. LoKr can't be added to
`patch_embedding`, a convolution over frames too.

Why it hurts: a name that matches nothing is passed over by most tools, and the layer is not trained.

Example:
    model:
      type: lora
      lora:
        target_modules: [to_q, to_kk]

Use instead:
    model:
      type: lora
      lora:
        target_modules: [to_q, to_k, ff.conv_point]
"""

import re
from collections.abc import Collection, Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.suggest import near
from recipe_schema.layers import is_target


TARGETS, TYPE, KIND, PRESET = "model.lora.target_modules", "model.type", "model.lora.type", "model.random_weights"
_BLOCK = re.compile(r"\.[0-9]+\.")


def check(facts: Facts) -> Iterator[Finding]:
    """Look every entry up."""
    settings = facts.settings
    if settings[TYPE] != "lora":
        return
    layers = settings.family.layers(settings[PRESET])
    for index, entry in enumerate(settings[TARGETS]):
        if not settings.fine(f"{TARGETS}.{index}"):
            continue
        kinds = {kind for layer, kind in layers.items() if is_target(entry, layer)}
        if not kinds:
            yield Finding(
                at=f"{TARGETS}.{index}",
                message=f"no linear or convolution layer of the model is named `{entry}`",
                help=_advice(entry, facts, layers),
            )
        elif kinds == {"depthwise"} and settings[KIND] == "standard":
            yield Finding(
                at=f"{TARGETS}.{index}",
                message=f"`{entry}` is a depthwise convolution, which has no rank that LoRA could lower",
                help="leave it out, or take `model.lora.type: lokr`",
                also=((KIND, "LoRA"),),
            )
        elif kinds == {"conv3d"} and settings[KIND] == "lokr":
            yield Finding(
                at=f"{TARGETS}.{index}",
                message=f"`{entry}` is a convolution over frames, height and width, which LoKr has no form for",
                help="leave it out, or take `model.lora.type: standard`",
                also=((KIND, "LoKr"),),
            )


def _advice(entry: str, facts: Facts, layers: Collection[str]) -> str:
    meant = near(entry, _ends(facts))
    if meant is None and any(is_target(f"{entry}.*", layer) for layer in layers):
        meant = f"{entry}.*"
    if meant is not None:
        return f"did you mean `{meant}`?"
    if any(is_target(_BLOCK.sub(".0.", entry), layer) for layer in layers):
        return f"blocks are counted from 0 to {facts.settings.family.transformer(facts.settings[PRESET])['num_layers'] - 1}"
    return "layers of a block are " + ", ".join(dict.fromkeys(name.split(".", 1)[1] for name in _in_block(facts)))


def _in_block(facts: Facts) -> list[str]:
    """Return the names of a block's layers from the block on, as in ``attn1.to_out.0``."""
    return [name.partition("{block}.")[2] for name in facts.settings.family.raw["layers"] if "{block}" in name]


def _ends(facts: Facts) -> list[str]:
    """Return every end of a name that is worth writing: of a block's layers, and of the others."""
    names = [name for name in facts.settings.family.raw["layers"] if "{block}" not in name] + _in_block(facts)
    parts = [name.split(".") for name in names]
    return [".".join(part[start:]) for part in parts for start in range(len(part)) if not part[start].isdigit()]


RULE = Rule(
    code="R209",
    name="target-not-found",
    severity="error",
    reads=(TYPE, KIND, PRESET),
    check=check,
    page=__doc__,
)
