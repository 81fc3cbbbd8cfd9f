"""Weights are to be spread over processes, and something needs whole ones.

What it does: finds `launch.strategy: fsdp2`, with more than one process, together with an optimizer that does not treat each
value by itself, with `memory.group_offload`, a base that quanto quantizes, or a `hardware.compile` that records CUDA graphs.

Why it hurts: each process holds a slice of every weight. Optimizers that look at rows, columns, blocks or norms of a weight
would look at those of a slice, and train something else; `adamw_bf16` rounds by a value's place. Offloading moves the same
weights about that FSDP2 does, quanto's weights can't be cut (torchao's can), and a graph that was recorded computes with the
memory of weights that have been dropped since.

Example:
    launch:
      processes: 2
      strategy: fsdp2
    optimizer:
      name: adafactor

Use instead:
    launch:
      processes: 2
      strategy: fsdp2
    optimizer:
      name: adamw
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_schema.optimizers import ELEMENTWISE


STRATEGY, PROCESSES, MACHINES = "launch.strategy", "launch.processes", "launch.machines"
OPTIMIZER, OFFLOAD, TYPE = "optimizer.name", "memory.group_offload.enabled", "model.type"
BASE, COMPILE = "model.base_model_precision", "hardware.compile"

GRAPHS = ("reduce-overhead", "max-autotune")


def check(facts: Facts) -> Iterator[Finding]:
    """Look for what needs whole weights. All make one finding: either side has to give way."""
    settings = facts.settings
    if settings[STRATEGY] != "fsdp2" or settings[PROCESSES] * settings[MACHINES] == 1:
        return
    adapter = settings[TYPE] == "lora"
    found = []
    if settings[OPTIMIZER] not in ELEMENTWISE:
        known = ", ".join(f"`{name}`" for name in ELEMENTWISE)
        found.append((OPTIMIZER, f"`{settings[OPTIMIZER]}` needs whole weights", f"an optimizer of {known}"))
    if settings[OFFLOAD] and adapter:
        found.append((OFFLOAD, "`group_offload` moves the same weights", "`memory.group_offload.enabled: false`"))
    if settings[BASE].endswith("-quanto") and adapter:
        torchao = settings[BASE].replace("int2", "int4").replace("quanto", "torchao")
        found.append((BASE, f"`{settings[BASE]}` weights can't be cut", f"`model.base_model_precision: {torchao}`"))
    if settings[COMPILE] in GRAPHS:
        found.append((COMPILE, f"`{settings[COMPILE]}` records graphs of them", "`hardware.compile: default`"))
    if found:
        yield Finding(
            at=STRATEGY,
            message=f"`strategy: fsdp2` trains slices of weights, and {' and '.join(why for _, why, _ in found)}",
            help=f"write `strategy: ddp`, or take {', and '.join(cure for _, _, cure in found)}",
            also=tuple((path, "needs whole weights") for path, _, _ in found),
        )


RULE = Rule(
    code="R512",
    name="sharding-needs-whole-weights",
    severity="error",
    reads=(STRATEGY, PROCESSES, MACHINES, OPTIMIZER, OFFLOAD, TYPE, BASE, COMPILE),
    check=check,
    page=__doc__,
)
