"""Layers are fetched ahead while blocks are recomputed, which nobody has measured yet.

What it does: finds `memory.group_offload.use_stream` together with `memory.gradient_checkpointing`.

Why it hurts: the backward pass recomputes blocks from the last to the first. diffusers' streams fetch ahead in the order
of the forward pass alone, and SimpleTuner turns streams off in this case. Here the order turns round with the pass, and
twenty steps give the same bits on a processor; speed and memory on a GPU were not measured. Without the stream, groups are
fetched when they are needed.

Example:
    model:
      type: lora
    memory:
      group_offload:
        enabled: true
        use_stream: true

Use instead:
    model:
      type: lora
    memory:
      group_offload:
        enabled: true
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


ENABLED, STREAM = "memory.group_offload.enabled", "memory.group_offload.use_stream"
RECOMPUTE, TYPE, DEVICE = "memory.gradient_checkpointing", "model.type", "hardware.device"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for both, where the transformer is offloaded and streams are to be had."""
    settings = facts.settings
    if settings[TYPE] == "full" or settings[DEVICE] == "cpu":
        return
    if settings[ENABLED] and settings[STREAM] and settings[RECOMPUTE]:
        yield Finding(
            at=STREAM,
            message="`use_stream` fetches groups ahead while `gradient_checkpointing` recomputes them: "
            "not measured on a GPU yet",
            help="watch speed and memory of the first steps, or leave use_stream out",
            fix="false",
            also=((RECOMPUTE, "recomputed here"),),
        )


RULE = Rule(
    code="R504",
    name="stream-with-checkpointing",
    severity="warning",
    reads=(ENABLED, STREAM, RECOMPUTE, TYPE, DEVICE),
    check=check,
    page=__doc__,
)
