"""Weights of labels that no label has, or that contradict each other.

What it does: looks at `label_weights` of data sets in use. It is an error if two names of one colour, such as `255` and
`'#ffffff'`, have different weights, or if all weights are 0. Weights beside another `conditioning_type` than `segmentation`
are a warning.

Why it hurts: which of two weights counts would be chance. With all weights 0 nothing would be trained but the background.
Masks in gray have no labels, so the whole list would be passed over.

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
          instance_data_dir: masks
          dataset_type: conditioning
          conditioning_type: segmentation
          label_weights:
            255: 0

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
          conditioning_type: segmentation
          label_weights:
            255: 1
"""

from collections.abc import Iterator, Mapping

from recipe_compiler.rules.data_sets import in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule


KIND, WEIGHTS = "conditioning_type", "label_weights"


def check(facts: Facts) -> Iterator[Finding]:
    """Look at the weights of each data set in use."""
    settings = facts.settings
    for table in in_use(settings, KIND, WEIGHTS):
        weights, at = settings[f"{table}.{WEIGHTS}"], f"{table}.{WEIGHTS}"
        if not weights:
            continue
        if settings[f"{table}.{KIND}"] != "segmentation":
            yield Finding(
                at=at,
                message="`label_weights` has no effect: the data set holds no labels",
                help="set `conditioning_type: segmentation`, or leave it out",
                severity="warning",
                also=() if settings[f"{table}.{KIND}"] is None else ((f"{table}.{KIND}", "masks in gray"),),
            )
            continue
        yield from _twice(at, weights)
        if not any(weights.values()):
            yield Finding(
                at=at,
                message="no label counts: all weights are 0",
                help="give a weight above 0 to what is to be trained; what is not named weighs 0",
            )


def _twice(at: str, weights: Mapping[str, float]) -> Iterator[Finding]:
    """Find two names of one colour."""
    seen: dict[str, str] = {}
    for label, weight in weights.items():
        color = label.lower() if label.startswith("#") else "#" + f"{int(label):02x}" * 3
        first = seen.setdefault(color, label)
        if weights[first] != weight:
            yield Finding(
                at=f"{at}.{label}",
                message=f"`{label}` and `{first}` are one colour, and weigh {weight:g} and {weights[first]:g}",
                help="keep one of them",
                also=((f"{at}.{first}", "the same colour"),),
            )


RULE = Rule(code="R430", name="label-weights-idle", severity="error", reads=(), check=check, page=__doc__)
