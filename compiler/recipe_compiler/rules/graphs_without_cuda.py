"""CUDA graphs are asked for on the processor.

What it does: finds `hardware.compile: reduce-overhead` together with `hardware.device: cpu`.

Why it hurts: `reduce-overhead` is `default` with CUDA graphs, which save the time of starting kernels on the device. On the
processor there is nothing to record, and the recipe reads as if it did something that it does not do.

Example:
    hardware:
      device: cpu
      compile: reduce-overhead

Use instead:
    hardware:
      device: cpu
      compile: default
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


COMPILE, DEVICE = "hardware.compile", "hardware.device"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for graphs on the processor."""
    if facts.settings[COMPILE] == "reduce-overhead" and facts.settings[DEVICE] == "cpu":
        yield Finding(
            at=COMPILE,
            message="`compile: reduce-overhead` records CUDA graphs, and `hardware.device` is cpu",
            help="write `compile: default`",
            fix="default",
            also=((DEVICE, "there are no graphs here"),),
        )


RULE = Rule(
    code="R222", name="graphs-without-cuda", severity="error", reads=(COMPILE, DEVICE), check=check, page=__doc__
)
