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

from collections.abc import Iterator, Sequence

from recipe_compiler.data.geometry import parse_size
from recipe_compiler.rules.rule import Facts, Finding, Rule


BUCKETS, RESOLUTION = "data.buckets", "validation.resolution"


def check(facts: Facts) -> Iterator[Finding]:
    """Check all frame sizes."""
    multiple = facts.settings.family.size_multiple
    sizes = [(f"{BUCKETS}.{index}", size) for index, size in enumerate(facts.settings[BUCKETS])]
    sizes = [(path, size) for path, size in sizes if facts.settings.fine(path)]
    if facts.settings.fine(RESOLUTION) and facts.settings.given(RESOLUTION):
        sizes.append((RESOLUTION, facts.settings[RESOLUTION]))
    for path, size in sizes:
        width, height = parse_size(size)
        if width % multiple or height % multiple:
            near = f"{_nearest(width, multiple)}x{_nearest(height, multiple)}"
            if path == RESOLUTION and facts.settings.fine(BUCKETS):
                near = _trained(facts.settings[BUCKETS], width, height, 2 * multiple) or near
            yield Finding(
                at=path,
                message=f"`{path}` has the size {size}, and both sides have to be multiples of {multiple}",
                help=f"use {near}",
                fix=near,
            )


def _trained(sizes: Sequence[str], width: int, height: int, slack: int) -> str | None:
    """Return a size that is trained, of which no side differs by more pixels than ``slack``."""
    sides = {size: parse_size(size) for size in sizes}
    return next((size for size, (w, h) in sides.items() if abs(w - width) <= slack and abs(h - height) <= slack), None)


def _nearest(side: int, multiple: int) -> int:
    return max((side + multiple // 2) // multiple, 1) * multiple


RULE = Rule(code="R309", name="size-not-legal", severity="error", reads=(), check=check, page=__doc__)
