"""Which shape a clip is cut to, and where. What is left to chance follows from the clip's id, so it is the same each time."""

import math
from collections.abc import Callable
from typing import Any, Literal

from recipe_compiler.data.geometry import Fit
from recipe_schema.record import replace


Style = Literal["center", "corner", "random"]
"""Where a clip is cut that does not fit: on all sides, at the right and at the bottom, or where its id says."""


def cut_shape(width: int, height: int, value: Callable[[str], Any], table: str, clip: str) -> tuple[float, float]:
    """Return the shape, as (width, height), that a clip is cut to: without ``crop``, its own.

    Args:
        width: Of the source, in pixels.
        height: Of the source, in pixels.
        value: Gives the value of a setting.
        table: The data set.
        clip: The clip's id.
    """
    aspect = value(f"{table}.crop_aspect")
    if not value(f"{table}.crop") or aspect == "preserve":
        return width, height
    shapes = (1.0,) if aspect == "square" else value(f"{table}.crop_aspect_buckets") or (width / height,)
    if aspect == "random":
        return shapes[_lot(f"crop-shape/{clip}", len(shapes))], 1.0
    return min(shapes, key=lambda shape: abs(math.log(width / height) - math.log(shape))), 1.0


def cut(place: Fit, style: Style, clip: str) -> Fit:
    """Move the crop of a centered fit to where a style has it.

    Args:
        place: How the clip is resized.
        style: Where it is cut.
        clip: The clip's id.
    """
    if style == "center":
        return place
    if style == "corner":
        return replace(place, crop_left=0, crop_top=0)
    return replace(
        place,
        crop_left=_lot(f"crop-left/{clip}", place.resize_width - place.width + 1),
        crop_top=_lot(f"crop-top/{clip}", place.resize_height - place.height + 1),
    )


def _lot(name: str, count: int) -> int:
    """Draw one of so many numbers by a name."""
    import hashlib  # noqa: PLC0415 - it loads OpenSSL, and a lint draws nothing

    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % count
