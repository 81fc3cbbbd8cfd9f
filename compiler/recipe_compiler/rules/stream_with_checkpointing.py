"""Layers are fetched ahead in one order and recomputed in the other.

What it does: finds `memory.group_offload.use_stream` together with `memory.gradient_checkpointing`.

Why it hurts: the stream fetches the group that comes next in the forward pass. The backward pass recomputes blocks from
the last to the first: there, the group that was fetched ahead is one that is done already. It takes memory for
nothing, and the group that is needed is waited for. Without the stream, groups are fetched when they are needed.

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
            message="`use_stream` fetches groups in the order of the forward pass, "
            "and `gradient_checkpointing` recomputes them in the other",
            help="leave use_stream out: without gradient_checkpointing, activations would take far more memory",
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
