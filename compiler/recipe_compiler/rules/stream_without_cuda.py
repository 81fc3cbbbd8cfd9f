"""Layers are to be fetched in a stream, and the processor has none.

What it does: finds `memory.group_offload.use_stream` together with `hardware.device: cpu`.

Why it hurts: a CUDA stream copies the next layers while one computes. On the processor, weights are where they are needed
already.

Example:
    memory:
      group_offload:
        enabled: true
        use_stream: true
    hardware:
      device: cpu

Use instead:
    hardware:
      device: cpu
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


ENABLED, STREAM, DEVICE = "memory.group_offload.enabled", "memory.group_offload.use_stream", "hardware.device"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for a stream on the processor."""
    settings = facts.settings
    if settings[ENABLED] and settings[STREAM] and settings[DEVICE] == "cpu":
        yield Finding(
            at=STREAM,
            message="`use_stream` needs CUDA, and `hardware.device` is cpu",
            help="leave use_stream out",
            fix="false",
            also=((DEVICE, "there are no streams here"),),
        )


RULE = Rule(
    code="R502",
    name="stream-without-cuda",
    severity="warning",
    reads=(ENABLED, STREAM, DEVICE),
    check=check,
    page=__doc__,
)
