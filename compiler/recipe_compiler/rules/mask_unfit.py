"""A mask can't be used, or does not have the shape of its clip.

What it does: looks at the mask of each trained clip. One that can't be read, a video of masks that ends before the sample
of its clip does, two masks for one clip, and labels in a codec that changes colours are errors. A mask of another shape
than its clip is a warning.

Why it hurts: a wrong mask trains something else than it shows, and nobody sees it in the loss. A mask of another
shape is stretched to the clip's, which is right only if that was done to the clip when it was drawn.

Example:
    regularizers:
      masked_loss:
        enabled: true
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          conditioning_data: masks
        - id: masks
          instance_data_dir: masks-cut
          dataset_type: conditioning
          conditioning_type: mask

Use instead:
    regularizers:
      masked_loss:
        enabled: true
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          conditioning_data: masks
        - id: masks
          instance_data_dir: masks
          dataset_type: conditioning
          conditioning_type: mask
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import SHOWN


def check(facts: Facts) -> Iterator[Finding]:
    """List masks with which something is wrong, at most one finding of each severity for each data set of them."""
    assert facts.survey is not None
    for found in facts.survey.masks:
        name = facts.settings[f"{found.table}.id"]
        for refused in (True, False):
            masks = [mask for mask in found.unfit if mask.refused == refused]
            if masks:
                rest = f"; and {len(masks) - SHOWN} more" if len(masks) > SHOWN else ""
                yield Finding(
                    at=f"{found.table}.instance_data_dir",
                    message=f"{len(masks)} of {found.files} masks of data set `{name}` "
                    + ("can't be used" if refused else "have another shape than their clips"),
                    help="; ".join(f"{mask.path}: {mask.reason}" for mask in masks[:SHOWN]) + rest,
                    severity=None if refused else "warning",
                )


RULE = Rule(code="R361", name="mask-unfit", severity="error", reads=(), check=check, page=__doc__)
