"""Where the windows of a clip start, of which each is a training sample."""

import hashlib
from dataclasses import replace
from itertools import pairwise
from typing import Literal

from recipe_schema.ledger import ClipRow


Window = Literal["head", "middle", "uniform", "random"]
"""Which frames of a clip are taken. See `video.window`."""


def first_frames(window: Window, available: int, used: int, *, most: int | None, content: str) -> tuple[int, ...]:
    """Return the first frame of each window of a clip, in rising order, no two alike.

    ``uniform`` cuts the clip into n = ⌊available / used⌋ equal parts, or ``most`` if that is less, and takes the middle of
    each: window i starts at ⌊((2i + 1) available - n used) / 2n⌋. So windows don't overlap, and one window is that of
    ``middle``. ``random`` cuts the places where a window can start into ``most`` equal parts, or as many as there are
    places, and takes one of each, which follows from the clip's bytes.

    Args:
        window: How they are chosen.
        available: Frames of the clip.
        used: Frames of a window, no more than the clip has.
        most: Windows of a clip at most; None is no limit.
        content: The SHA-256 of the clip.
    """
    places = available - used + 1
    if window == "head":
        return (0,)
    if window == "random":
        parts = min(places, most or places)
        bounds = [part * places // parts for part in range(parts + 1)]
        return tuple(low + _lot(content, low, high) for low, high in pairwise(bounds))
    count = 1 if window == "middle" else min(available // used, most or available)
    return tuple(((2 * part + 1) * available - count * used) // (2 * count) for part in range(count))


def in_the_middle(row: ClipRow) -> ClipRow:
    """Return a clip with the one window of ``middle`` in place of all that it has."""
    (first,) = first_frames("middle", row.frames_at_rate, row.bucket_frames, most=None, content=row.sha256)
    return replace(row, start_seconds=first / (row.framerate or row.fps), more_starts="", drawn=0)


def _lot(content: str, low: int, high: int) -> int:
    """Draw a number from 0 to below high - low, by a clip's bytes and the part of it."""
    drawn = hashlib.sha256(f"window/{content}/{low}-{high}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") % (high - low)
