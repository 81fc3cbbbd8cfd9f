"""Limits on size or shape that leave out what is to be trained.

What it does: compares `minimum_image_size` with `resolution`, and `minimum_aspect_ratio` with `maximum_aspect_ratio`. A
minimum that equals the resolution is in order: it leaves out the clips that would have to be enlarged.

Why it hurts: between limits that cross there is no clip. A minimum above the resolution leaves out clips that are
large enough, those of just the size that is trained among them.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          minimum_aspect_ratio: 1.8
          maximum_aspect_ratio: 1.2

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          minimum_aspect_ratio: 1.2
          maximum_aspect_ratio: 1.8
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import in_other_unit, in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule


SIZES = ("resolution", "resolution_type", "minimum_image_size")
SHAPES = ("minimum_aspect_ratio", "maximum_aspect_ratio")


def check(facts: Facts) -> Iterator[Finding]:
    """Compare the limits of each data set."""
    settings = facts.settings
    for table in in_use(settings, *SIZES):
        size, least = settings[f"{table}.resolution"], settings[f"{table}.minimum_image_size"]
        if size is not None and least is not None and least > size and in_other_unit(settings, table) is None:
            yield Finding(
                at=f"{table}.minimum_image_size",
                message=f"`minimum_image_size` is {least:g} and `resolution` is {size:g}",
                help=f"clips of the trained size itself are left out; with {size:g}, only smaller ones are",
                severity="warning",
                also=((f"{table}.resolution", "trained at this size"),),
            )
    for table in in_use(settings, *SHAPES):
        narrow, wide = (settings[f"{table}.{key}"] for key in SHAPES)
        if narrow is not None and wide is not None and narrow > wide:
            yield Finding(
                at=f"{table}.minimum_aspect_ratio",
                message=f"`minimum_aspect_ratio` is {narrow:g} and `maximum_aspect_ratio` is {wide:g}",
                help="no clip has such a shape (width / height): swap them",
                also=((f"{table}.maximum_aspect_ratio", ""),),
            )


RULE = Rule(code="R322", name="size-limits-empty", severity="error", reads=(), check=check, page=__doc__)
