"""Which bucket a clip goes to, and how it is resized, cropped and cut for it."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from recipe_schema.family import FamilyFacts
from recipe_schema.record import record
from recipe_schema.video import SAME_TIME


@record
class Fit:
    """How a frame becomes one of its bucket's size. All in pixels."""

    width: int
    height: int
    resize_width: int
    resize_height: int
    crop_left: int
    crop_top: int


@record
class Resolution:
    """A size to train at, of which each shape gets its own width and height.

    Attributes:
        value: The size, in the unit of ``kind``.
        kind: What it is: ``pixel`` the shorter edge, ``area`` megapixels, ``pixel_area`` the edge of a square.
        alignment: Sides are multiples of this, in pixels.
        rounding: Digits that count of a shape.
    """

    value: float
    kind: Literal["pixel", "area", "pixel_area"]
    alignment: int
    rounding: int


_SQUARES = {0.25: 512, 0.5: 768, 1.0: 1024, 2.0: 1536, 4.0: 2048}
"""Edges of squares, in pixels, by the megapixels that SimpleTuner's users ask for and mean them."""

_NEAR_SQUARE = 0.05
"""Megapixels by which an area may miss one of them."""


def parse_size(text: str) -> tuple[int, int]:
    """Return (width, height) of a size such as ``832x480``."""
    width, height = text.split("x")
    return int(width), int(height)


def fit(width: int, height: int, sizes: Sequence[tuple[int, int]]) -> Fit:
    """Choose the size of nearest shape, cover it, and crop at the center.

    Shapes are compared by the logarithm of their ratio, so that 2:1 is as far from square as 1:2. Of sizes with
    the same shape the largest that needs no enlarging wins, else the smallest.

    Args:
        width: Of the source, in pixels.
        height: Of the source, in pixels.
        sizes: The buckets' (width, height).
    """

    def rank(size: tuple[int, int]) -> tuple[float, float]:
        distance = abs(math.log(width / height) - math.log(size[0] / size[1]))
        enlarged = max(size[0] / width, size[1] / height)
        return round(distance, 9), enlarged if enlarged > 1 else -size[0] * size[1]

    target_width, target_height = min(sizes, key=rank)
    scale = max(target_width / width, target_height / height)
    resize_width = max(round(width * scale), target_width)
    resize_height = max(round(height * scale), target_height)
    return Fit(
        width=target_width,
        height=target_height,
        resize_width=resize_width,
        resize_height=resize_height,
        crop_left=(resize_width - target_width) // 2,
        crop_top=(resize_height - target_height) // 2,
    )


def resolution_of(value: Callable[[str], Any], table: str) -> Resolution:
    """Return the size that a data set is to be trained at.

    Args:
        value: Gives the value of a setting.
        table: A data set that has a ``resolution``.
    """
    return Resolution(
        value=value(f"{table}.resolution"),
        kind=value(f"{table}.resolution_type"),
        alignment=value(f"{table}.aspect_bucket_alignment"),
        rounding=value(f"{table}.aspect_bucket_rounding"),
    )


def target_size(width: float, height: float, resolution: Resolution) -> tuple[int, int]:
    """Return the (width, height) at which a clip is trained, in SimpleTuner's arithmetic.

    The shape is rounded before it is sized, so that clips of nearly one shape share a bucket. Halves are rounded to
    even multiples of the alignment: with 64, an edge of 480 becomes 512, and one of 544 as well.

    Args:
        width: Of the source, or of the shape that it is cut to. Only the ratio of the two counts.
        height: Likewise.
        resolution: The size to train at.
    """
    shape = max(round(width / height, resolution.rounding), 10**-resolution.rounding)

    def align(side: float) -> int:
        return max(round(side / resolution.alignment), 1) * resolution.alignment

    if resolution.kind == "pixel":
        edge = math.floor(resolution.value)
        if width < height:
            return align(edge), align(math.floor(edge / shape))
        return align(math.floor(edge * shape)), align(edge)
    area = resolution.value if resolution.kind == "area" else resolution.value**2 / 1e6
    square = align(math.floor(math.sqrt(area * 1e6)))
    size = align(square * math.sqrt(shape)), align(square / math.sqrt(shape))
    if size[0] == size[1] and resolution.kind == "area":
        meant = (edge for megapixels, edge in _SQUARES.items() if abs(area - megapixels) < _NEAR_SQUARE)
        square = align(next(meant, square))
        return square, square
    return size


def frames_at(seconds: float, framerate: float) -> int:
    """Count the frames that a clip has at another rate: those at 0, 1/rate, … while a frame is on the screen."""
    return max(math.ceil((seconds - SAME_TIME) * framerate), 1)


def sample_frames(available: int, wanted: int, family: FamilyFacts, interval: int | None = None) -> int:
    """Return how many frames are used of a clip: ``wanted``, or all that the VAE can take of a shorter one.

    Args:
        available: Frames that the clip has.
        wanted: Frames of a whole sample.
        family: The model family.
        interval: Lengths of shorter clips are first rounded down to a multiple of this; it leaves those alone that
            have fewer frames.
    """
    if available >= wanted:
        return wanted
    return family.legal_frames(available // (interval or 1) * (interval or 1) or available)
