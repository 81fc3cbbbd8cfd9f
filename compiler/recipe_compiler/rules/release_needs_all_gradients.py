"""Gradients are to be freed at once, and something needs all of them.

What it does: finds `optimizer.release_gradients` together with `train.gradient_accumulation_steps` or
`launch.processes` or `launch.machines` above 1, with clipping by norm (`train.grad_clip_method: norm`, and `train.max_grad_norm` above 0), or
with `optimizer.name: prodigy`.

Why it hurts: each weight is updated and its gradient freed before the next gradient is there. A sum over several
backward passes or processes, the norm over all gradients, or the rate that `prodigy` finds from all of them, can't be had
any more.

Example:
    optimizer:
      release_gradients: true
    train:
      max_grad_norm: 0.1

Use instead:
    optimizer:
      release_gradients: true
    train:
      max_grad_norm: 0.01
      grad_clip_method: value
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


RELEASE, ACCUMULATION = "optimizer.release_gradients", "train.gradient_accumulation_steps"
PROCESSES, MACHINES = "launch.processes", "launch.machines"
NORM, METHOD, NAME = "train.max_grad_norm", "train.grad_clip_method", "optimizer.name"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for what needs all gradients. All make one finding: either key has to give way."""
    settings = facts.settings
    needs, cures, also = [], [], []
    if settings[ACCUMULATION] > 1:
        needs.append(f"`gradient_accumulation_steps: {settings[ACCUMULATION]}` sums them up")
        cures.append("`gradient_accumulation_steps: 1`")
        also.append((ACCUMULATION, "summed up here"))
    for path in (PROCESSES, MACHINES):
        if settings[path] > 1:
            needs.append(f"`{path}: {settings[path]}` adds up those of all processes")
            cures.append(f"`{path}: 1`")
            also.append((path, "added up here"))
    if settings[NORM] > 0 and settings[METHOD] == "norm":
        needs.append(f"clipping by norm (`max_grad_norm` {settings[NORM]:g}) measures all of them")
        cures.append("`grad_clip_method: value` or `max_grad_norm: 0`")
        also.append((NORM, "measured here"))
    if settings[NAME] == "prodigy":
        needs.append("`prodigy` finds its rate from all of them")
        cures.append("another `name`")
        also.append((NAME, "the optimizer"))
    if settings[RELEASE] and needs:
        yield Finding(
            at=RELEASE,
            message=f"`release_gradients` frees each gradient at once, and {' and '.join(needs)}",
            help=f"leave release_gradients out, or set {', and '.join(cures)}",
            also=tuple(also),
        )


RULE = Rule(
    code="R505",
    name="release-needs-all-gradients",
    severity="error",
    reads=(RELEASE, ACCUMULATION, PROCESSES, MACHINES, NORM, METHOD, NAME),
    check=check,
    page=__doc__,
)
