"""Checkpoints are to be written in slices, where there are none, or in the background.

What it does: finds `checkpoints.layout: sharded` without `launch.strategy: fsdp2`, or together with `checkpoints.background`.

Why it hurts: with `strategy: ddp` each process has whole weights, and the first one alone writes them. Slices are written by
all processes, which agree on them before and after; while a step is taken they can't.

Example:
    launch:
      processes: 2
    checkpoints:
      layout: sharded

Use instead:
    launch:
      processes: 2
      strategy: fsdp2
    checkpoints:
      layout: sharded
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


LAYOUT, BACKGROUND, STRATEGY = "checkpoints.layout", "checkpoints.background", "launch.strategy"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for slices that nobody has, then for slices that nobody has the time for."""
    settings = facts.settings
    if settings[LAYOUT] != "sharded":
        return
    if settings[STRATEGY] != "fsdp2":
        yield Finding(
            at=LAYOUT,
            message=f"`layout: sharded` writes slices, and `strategy: {settings[STRATEGY]}` trains whole weights",
            help="write `launch.strategy: fsdp2`, or leave layout out",
            fix="whole",
            also=((STRATEGY, "each process has all weights"),),
        )
    elif settings[BACKGROUND]:
        yield Finding(
            at=LAYOUT,
            message="`layout: sharded` needs all processes at once, and `background: true` lets training go on meanwhile",
            help="leave one of them out",
            also=((BACKGROUND, "a step needs all processes too"),),
        )


RULE = Rule(
    code="R514",
    name="sharded-layout-impossible",
    severity="error",
    reads=(LAYOUT, BACKGROUND, STRATEGY),
    check=check,
    page=__doc__,
)
