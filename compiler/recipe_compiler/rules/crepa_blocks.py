"""CREPA is to align blocks that the model does not have, or in the wrong order.

What it does: compares `block_index` and `teacher_block_index` of `regularizers.crepa` with the number of the
transformer's blocks, and with each other. With `feature_source: backbone` or `self_flow` the teacher is a block of the
model itself, and a deeper one.

Why it hurts: blocks are counted from 0, and other models have more. A block that does not exist can't be trained; one
that learns from itself, or from one before it, learns nothing.

Example:
    regularizers:
      crepa:
        enabled: true
        block_index: 4

Use instead:
    regularizers:
      crepa:
        enabled: true
        block_index: 2
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import Resolved


ENABLED, SOURCE = "regularizers.crepa.enabled", "regularizers.crepa.feature_source"
BLOCK, TEACHER = "regularizers.crepa.block_index", "regularizers.crepa.teacher_block_index"
PRESET = "model.random_weights"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare both blocks with the model, and with each other."""
    settings = facts.settings
    if not settings[ENABLED]:
        return
    count, block, teacher = _blocks(settings), settings[BLOCK], settings[TEACHER]
    inside = settings[SOURCE] != "encoder"
    if block >= count - inside:
        yield _beyond(BLOCK, block, count, count - 1 - inside)
    elif inside and teacher is None:
        yield Finding(
            at=SOURCE,
            message=f"`feature_source: {settings[SOURCE]}` has no `teacher_block_index`",
            help=f"add a block that is deeper than block_index: {block + 1} to {count - 1}",
            also=((BLOCK, "the block that is aligned"),),
        )
    elif inside and teacher >= count:
        yield _beyond(TEACHER, teacher, count, count - 1)
    elif inside and teacher <= block:
        yield Finding(
            at=TEACHER,
            message=f"`teacher_block_index` is {teacher}, no deeper than `block_index`, {block}",
            help=f"take {block + 1} to {count - 1}, or a smaller block_index",
            also=((BLOCK, "the block that is aligned"),),
        )


def _blocks(settings: Resolved) -> int:
    """Return how many blocks the transformer has."""
    preset, raw = settings[PRESET], settings.family.raw
    return int((raw["random_weights"][preset] if preset else raw)["transformer"]["num_layers"])


def _beyond(at: str, index: int, count: int, most: int) -> Finding:
    name = at.rpartition(".")[2]
    deeper = "" if most == count - 1 else ", with one left for the teacher"
    return Finding(
        at=at,
        message=f"`{name}` is {index}, and the model has {count} blocks, 0 to {count - 1}{deeper}",
        help=f"take {most} or less",
        also=((PRESET, "this model"),),
    )


RULE = Rule(
    code="R411",
    name="crepa-blocks",
    severity="error",
    reads=(ENABLED, SOURCE, BLOCK, TEACHER, PRESET),
    check=check,
    page=__doc__,
)
