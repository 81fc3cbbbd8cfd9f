"""Weights are to be spread over processes, and something needs whole ones.

What it does: finds `launch.strategy: fsdp2`, with more than one process, together with an optimizer that does not treat each
value by itself, with `memory.group_offload`, a quantized base, DoRA, LoKr, an adapter that is taken out of the weights
(`model.lora.init: pissa` or `olora`), or `hardware.compile`.

Why it hurts: each process holds a slice of every weight. Optimizers that look at rows, columns, blocks or norms of a weight
would look at those of a slice, and train something else; `adamw_bf16` rounds by a value's place. Offloading moves the same
weights about that FSDP2 does, quantized weights can't be cut, and DoRA takes norms of whole ones. What the others make
of slices was not tried.

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
BASE, DORA = "model.base_model_precision", "model.lora.use_dora"
KIND, INIT, COMPILE = "model.lora.type", "model.lora.init", "hardware.compile"


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
    if settings[BASE] != "no_change" and adapter:
        found.append((BASE, f"`{settings[BASE]}` weights can't be cut", "`model.base_model_precision: no_change`"))
    if settings[DORA] and adapter:
        found.append((DORA, "DoRA takes norms of whole weights", "`model.lora.use_dora: false`"))
    if adapter and settings[KIND] == "lokr":
        found.append((KIND, "`lokr` was not tried with slices", "`model.lora.type: standard`"))
    if adapter and settings[INIT] in ("pissa", "olora"):
        found.append((INIT, f"`{settings[INIT]}` takes whole weights apart", "`model.lora.init: default`"))
    if settings[COMPILE] != "no":
        found.append((COMPILE, "compiled blocks were not tried with slices", "`hardware.compile: no`"))
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
    reads=(STRATEGY, PROCESSES, MACHINES, OPTIMIZER, OFFLOAD, TYPE, BASE, DORA, KIND, INIT, COMPILE),
    check=check,
    page=__doc__,
)
