"""Which bucket a clip goes to, and how it is resized, cropped and cut for it."""

import math
from collections.abc import Sequence

from recipe_schema.family import FamilyFacts
from recipe_schema.record import record


@record
class Fit:
    """How a frame becomes one of its bucket's size. All in pixels."""

    width: int
    height: int
    resize_width: int
    resize_height: int
    crop_left: int
    crop_top: int


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


def frames_at(seconds: float, framerate: float) -> int:
    """Count the frames that a clip has at another rate: those at 0, 1/rate, … while a frame is on the screen."""
    return max(math.ceil(seconds * framerate - 1e-6), 1)


def sample_frames(available: int, wanted: int, family: FamilyFacts) -> int:
    """Return how many frames are used of a clip: ``wanted``, or all that the VAE can take of a shorter one."""
    return wanted if available >= wanted else family.legal_frames(available)
