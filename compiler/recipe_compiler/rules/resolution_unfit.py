"""A `resolution` that does not fit its type or the rest of the recipe.

What it does: checks that `resolution` is plausible in the unit of `resolution_type` (at least 64 pixels, at most 16
megapixels), and `minimum_image_size` likewise; and that nothing is given that has no effect: `data.buckets` if every
data set has a `resolution`, and the settings of `resolution` if a data set has none.

Why it hurts: 0.5 pixels or 480 megapixels leave nothing to train; sizes that nothing reads are tuned in vain.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          minimum_image_size: 64
          resolution_type: area

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          minimum_image_size: 64
          resolution_type: pixel
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import DATA_SETS, LARGEST_AREA, SMALLEST_EDGE, in_other_unit, in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import Resolved


BUCKETS = "data.buckets"
OPTIONS = ("resolution_type", "aspect_bucket_alignment", "aspect_bucket_rounding")


def check(facts: Facts) -> Iterator[Finding]:
    """Check the resolution of each data set, and whether the list of sizes is used."""
    settings = facts.settings
    for table in in_use(settings, "resolution", "minimum_image_size", *OPTIONS):
        if settings[f"{table}.resolution"] is None:
            yield from _idle(settings, table)
        yield from _unit(settings, table)
    every = [f"{table}.resolution" for table in in_use(settings)] if settings.fine(BUCKETS, DATA_SETS) else []
    if every and settings.given(BUCKETS) and all(settings[path] is not None for path in every):
        yield Finding(
            at=BUCKETS,
            message="`data.buckets` is not used: every data set has a `resolution`, from which its sizes follow",
            help="leave it out, or leave out `resolution`",
            severity="warning",
            also=tuple((path, "sizes follow from this") for path in every),
        )


def _idle(settings: Resolved, table: str) -> Iterator[Finding]:
    """Find settings of a resolution that is not given. The type is also the unit of `minimum_image_size`."""
    unit = settings[f"{table}.minimum_image_size"] is not None
    idle = [key for key in OPTIONS if settings.given(f"{table}.{key}") and not (unit and key == "resolution_type")]
    if idle:
        keys = ", ".join(f"`{key}`" for key in idle)
        yield Finding(
            at=f"{table}.{idle[0]}",
            message=f"{keys} without effect: the data set has no `resolution`, and its sizes are those of `{BUCKETS}`",
            help="add `resolution`, or leave it out",
            severity="warning",
        )


def _unit(settings: Resolved, table: str) -> Iterator[Finding]:
    key = in_other_unit(settings, table)
    if key is None:
        return
    kind, size = settings[f"{table}.resolution_type"], settings[f"{table}.{key}"]
    if kind == "area":
        message = f"`{key}: {size:g}` with `resolution_type: area` means {size:g} megapixels"
        advice = "did you mean `resolution_type: pixel`, the shorter edge, or `pixel_area`, the edge of a square?"
    else:
        default = "" if settings.given(f"{table}.resolution_type") else ", the default,"
        message = f"`{key}: {size:g}` with `resolution_type: {kind}`{default} means an edge of {size:g} pixels"
        likely = f"did you mean `resolution_type: area`, {size:g} megapixels?"
        advice = likely if size <= LARGEST_AREA else f"give at least {SMALLEST_EDGE} pixels, such as 480"
    yield Finding(at=f"{table}.{key}", message=message, help=advice, also=((f"{table}.resolution_type", "the unit"),))


RULE = Rule(code="R321", name="resolution-unfit", severity="error", reads=(), check=check, page=__doc__)
