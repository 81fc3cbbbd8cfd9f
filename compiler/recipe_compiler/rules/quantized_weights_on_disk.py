"""Weights that quanto quantizes are to be kept in files.

What it does: finds `memory.group_offload.to_disk_path` together with weights that quanto quantizes and that would be
offloaded: `model.base_model_precision`, and `model.text_encoder_precision` if the text encoder is offloaded too.

Why it hurts: offloading to disk writes safetensors files, and quanto's tensors can't be written there. It would fail once
the model is loaded. What torchao packs is kept as plain tensors, which can.

Example:
    model:
      type: lora
      base_model_precision: int8-quanto
    memory:
      group_offload:
        enabled: true
        to_disk_path: offloaded

Use instead:
    model:
      type: lora
      base_model_precision: int8-quanto
    memory:
      group_offload:
        enabled: true
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


SECTION, TYPE = "memory.group_offload", "model.type"
ENABLED, DISK, TEXT = f"{SECTION}.enabled", f"{SECTION}.to_disk_path", f"{SECTION}.text_encoder"
BASE, ENCODER = "model.base_model_precision", "model.text_encoder_precision"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for quantized weights among those that are offloaded."""
    settings = facts.settings
    if not settings[ENABLED] or settings[DISK] is None:
        return
    offloaded = (BASE,) * (settings[TYPE] == "lora") + (ENCODER,) * settings[TEXT]
    quantized = [path for path in offloaded if settings[path].endswith("-quanto")]
    if quantized:
        named = " and ".join(f"`{path}: {settings[path]}`" for path in quantized)
        yield Finding(
            at=DISK,
            message=f"offloaded weights are written to files, which can't be done with those of {named}",
            help="leave to_disk_path out: quantized weights are small enough for main memory",
            also=tuple((path, "quantized here") for path in quantized),
        )


RULE = Rule(
    code="R506",
    name="quantized-weights-on-disk",
    severity="error",
    reads=(ENABLED, DISK, TEXT, TYPE, BASE, ENCODER),
    check=check,
    page=__doc__,
)
