"""CREPA asks for something that can't be had.

What it does: checks that `encoder_image_size` is a multiple of 14, and that `feature_source: self_flow` has an average
of weights for its teacher.

Why it hurts: DINOv2 cuts its images into patches of 14 pixels. The teacher of self_flow is the average, and without
`ema.enabled` there is none.

Example:
    regularizers:
      crepa:
        enabled: true
        block_index: 2
        encoder_image_size: 512

Use instead:
    regularizers:
      crepa:
        enabled: true
        block_index: 2
        encoder_image_size: 518
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


CREPA, EMA = "regularizers.crepa", "ema.enabled"
ENABLED, SOURCE, SIZE = (f"{CREPA}.{key}" for key in ("enabled", "feature_source", "encoder_image_size"))
PATCH = 14


def check(facts: Facts) -> Iterator[Finding]:
    """Look for what each choice rests on."""
    settings = facts.settings
    if not settings[ENABLED]:
        return
    size, over = settings[SIZE], settings[SIZE] % PATCH
    if settings[SOURCE] == "encoder" and over:
        lower, higher = size - over, size - over + PATCH
        yield Finding(
            at=SIZE,
            message=f"`encoder_image_size` is {size}, and DINOv2 takes multiples of {PATCH}",
            help=f"take {lower} or {higher}",
            fix=str(lower if size - lower < higher - size else higher),
        )
    if settings[SOURCE] == "self_flow" and not settings[EMA]:
        yield Finding(
            at=SOURCE,
            message="the teacher of self_flow is the average of weights, and `ema.enabled` is false",
            help="set `ema.enabled: true`, or take `feature_source: backbone`",
            also=((EMA, "no average"),),
        )


RULE = Rule(
    code="R413",
    name="crepa-without-means",
    severity="error",
    reads=(ENABLED, SOURCE, SIZE, EMA),
    check=check,
    page=__doc__,
)
