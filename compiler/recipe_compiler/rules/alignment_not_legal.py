"""Sides of frames are rounded to a multiple that the model can't take.

What it does: checks that `aspect_bucket_alignment` of data sets with a `resolution` is a multiple of 16, the VAE's stride
times the transformer's patch.

Why it hurts: some clips would get sides such as 488 or 840, and the model would cut off their last rows and columns
without a word.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          resolution: 80
          aspect_bucket_alignment: 8
          video:
            num_frames: 9

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          resolution: 80
          aspect_bucket_alignment: 16
          video:
            num_frames: 9
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Check the alignment of each data set that uses one."""
    settings, multiple = facts.settings, facts.settings.family.size_multiple
    for table in settings.tables("data.datasets"):
        path, size = f"{table}.aspect_bucket_alignment", f"{table}.resolution"
        if not settings.fine(path, size) or settings[size] is None or not settings.in_use(table):
            continue
        near = max(round(settings[path] / multiple), 1) * multiple
        if settings[path] != near:
            yield Finding(
                at=path,
                message=f"`aspect_bucket_alignment` is {settings[path]}, and sides have to be multiples of {multiple}",
                help=f"use {near}",
                fix=str(near),
                also=((size, "sizes follow from this"),),
            )


RULE = Rule(code="R341", name="alignment-not-legal", severity="error", reads=(), check=check, page=__doc__)
