"""Settings of cropping that have no effect, or that are not complete.

What it does: finds `crop_aspect` and `crop_aspect_buckets` without `crop: true`, `crop: true` without a `resolution`,
and `crop_aspect: closest` or `random` without `crop_aspect_buckets`, from which it chooses. `crop_style` is read in any case: a clip that does not
fit its bucket is cut a little.

Why it hurts: clips keep their own shape where a square was asked for, or there is no shape to choose from.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          resolution: 64
          crop: true
          crop_aspect: closest

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          resolution: 64
          crop: true
          crop_aspect: closest
          crop_aspect_buckets: [1.0, 1.5]
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import CHOOSING, in_use, told
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import Resolved


ASPECT, SHAPES = "crop_aspect", "crop_aspect_buckets"


def check(facts: Facts) -> Iterator[Finding]:
    """Check the settings of cropping of each data set."""
    settings = facts.settings
    for table in in_use(settings, "crop", "resolution", ASPECT, SHAPES):
        if not settings[f"{table}.crop"]:
            yield from _without_crop(settings, table)
        elif settings[f"{table}.resolution"] is None:
            yield _without_resolution(settings, table)
        else:
            yield from _shapes(settings, table)


def _without_crop(settings: Resolved, table: str) -> Iterator[Finding]:
    """Find shapes that are not used. With `crop: false` written, the default shape is no finding."""
    if settings.given(f"{table}.crop"):
        idle = [key for key in (ASPECT, SHAPES) if told(settings, f"{table}.{key}")]
    else:
        idle = [key for key in (ASPECT, SHAPES) if settings.given(f"{table}.{key}")]
    if idle:
        keys = " and ".join(f"`{key}`" for key in idle)
        yield Finding(
            at=f"{table}.{idle[0]}",
            message=f"{keys} without effect: `crop` is false, and clips keep their shape",
            help="set `crop: true`, or leave it out",
            severity="warning",
            also=((f"{table}.crop", "switched off here"),),
        )


def _without_resolution(settings: Resolved, table: str) -> Finding:
    keeps = settings[f"{table}.{ASPECT}"] == "preserve"
    return Finding(
        at=f"{table}.crop",
        message="`crop: true` without effect: there is no `resolution`, and clips go to the sizes of `data.buckets`",
        help="give the data set a `resolution`, such as 480, or leave `crop` out",
        severity="warning" if keeps else "error",
    )


def _shapes(settings: Resolved, table: str) -> Iterator[Finding]:
    aspect, shapes = settings[f"{table}.{ASPECT}"], settings[f"{table}.{SHAPES}"]
    if aspect in CHOOSING and not shapes:
        yield Finding(
            at=f"{table}.{ASPECT}",
            message=f"`{ASPECT}: {aspect}` needs `{SHAPES}` to choose from",
            help=f"list shapes (width / height): `{SHAPES}: [1.0, 1.78]`",
        )
    if aspect not in CHOOSING and shapes:
        yield Finding(
            at=f"{table}.{SHAPES}",
            message=f"`{SHAPES}` without effect: `{ASPECT}` is `{aspect}`",
            help=f"set `{ASPECT}: closest`, or leave it out",
            severity="warning",
            also=((f"{table}.{ASPECT}", ""),),
        )


RULE = Rule(code="R324", name="crop-settings", severity="error", reads=(), check=check, page=__doc__)
