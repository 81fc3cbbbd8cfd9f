"""A frame size that the model can't take.

What it does: checks that both sides of `data.buckets` and `validation.resolution` are multiples of 16, the VAE's
stride times the transformer's patch.

Why it hurts: the model would cut off the last rows and columns without a word.

Example:
    validation:
      resolution: 850x480

Use instead:
    validation:
      resolution: 64x48
"""

from collections.abc import Iterator

from recipe_compiler.data.geometry import parse_size
from recipe_compiler.rules.rule import Facts, Finding, Rule


BUCKETS, RESOLUTION = "data.buckets", "validation.resolution"


def check(facts: Facts) -> Iterator[Finding]:
    """Check all frame sizes."""
    multiple = facts.settings.family.size_multiple
    sizes = []
    if facts.settings.fine(BUCKETS):
        sizes = [(f"{BUCKETS}.{index}", size) for index, size in enumerate(facts.settings[BUCKETS])]
    if facts.settings.fine(RESOLUTION) and facts.settings.given(RESOLUTION):
        sizes.append((RESOLUTION, facts.settings[RESOLUTION]))
    for path, size in sizes:
        width, height = parse_size(size)
        if width % multiple or height % multiple:
            near = f"{_nearest(width, multiple)}x{_nearest(height, multiple)}"
            yield Finding(
                at=path,
                message=f"`{path}` has the size {size}, and both sides have to be multiples of {multiple}",
                help=f"use {near}",
                fix=near,
            )


def _nearest(side: int, multiple: int) -> int:
    return max((side + multiple // 2) // multiple, 1) * multiple


RULE = Rule(code="R309", name="size-not-legal", severity="error", reads=(), check=check, page=__doc__)
