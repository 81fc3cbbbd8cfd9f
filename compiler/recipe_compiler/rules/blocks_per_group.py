"""Blocks are counted that there are not, or that groups do not have.

What it does: compares `memory.group_offload.blocks_per_group` with the model's number of blocks, and finds it
together with `type: leaf_level`.

Why it hurts: a group of all blocks is on the accelerator as a whole, which saves nothing. With `leaf_level` each
single layer is a group, and the number has no effect.

Example:
    model:
      type: lora
    memory:
      group_offload:
        enabled: true
        blocks_per_group: 40

Use instead:
    model:
      type: lora
    memory:
      group_offload:
        enabled: true
        blocks_per_group: 2
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


ENABLED, TYPE, COUNT = (f"memory.group_offload.{name}" for name in ("enabled", "type", "blocks_per_group"))
TRAINED, PRESET = "model.type", "model.random_weights"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare groups and blocks, where the transformer is offloaded."""
    settings = facts.settings
    if not settings[ENABLED] or settings[TRAINED] == "full" or not settings.given(COUNT):
        return
    count, blocks = settings[COUNT], settings.family.transformer(settings[PRESET])["num_layers"]
    if settings[TYPE] == "leaf_level":
        yield Finding(
            at=COUNT,
            message="`blocks_per_group` has no effect: with `type: leaf_level` each layer is a group",
            help="set `type: block_level`, or leave it out",
            also=((TYPE, "groups are layers"),),
        )
    elif count >= blocks:
        yield Finding(
            at=COUNT,
            message=f"`blocks_per_group` is {count} and the model has {blocks} blocks: they would be one group",
            help="take a small number, such as 1",
            fix="1",
        )


RULE = Rule(
    code="R508",
    name="blocks-per-group",
    severity="warning",
    reads=(ENABLED, TYPE, COUNT, TRAINED, PRESET),
    check=check,
    page=__doc__,
)
