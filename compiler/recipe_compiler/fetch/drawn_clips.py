"""Clips that are drawn: one shape moves over a background. No chance is involved, so they are always the same."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av


Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

WIDTH, HEIGHT = 640, 368
"""Size of drawn clips in pixels: multiples of 16, and nearly the shape of 832x480."""
FRAMES = 130
"""Frames of drawn clips: 5.2 seconds."""
RATE = Fraction(25)
"""Frames per second of drawn clips."""

_HALF = 64
"""Half the side of the square, and the radius of the disc, in pixels."""
_MARGIN = 96
"""Distance in pixels between the picture's edge and the shape's center where it starts and ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What a drawn clip shows.

    Attributes:
        shape: What moves.
        direction: Where it moves, at constant speed from one side of the picture to the other.
        color: Of the shape.
        top: The background's color in its first row.
        bottom: The background's color in its last row; rows between are blended.
    """

    shape: Literal["disc", "square"]
    direction: Literal["left", "right", "up", "down"]
    color: Color
    top: Color
    bottom: Color


def draw_frames(drawing: Drawing) -> Iterator[av.VideoFrame]:
    """Yield the frames of a drawn clip."""
    for index in range(FRAMES):
        x, y = _center(drawing.direction, index / (FRAMES - 1))
        rows = [_row(drawing, row, x, y) for row in range(HEIGHT)]
        frame = av.VideoFrame(WIDTH, HEIGHT, "rgb24")
        padding = bytes(frame.planes[0].line_size - 3 * WIDTH)
        frame.planes[0].update(b"".join(row + padding for row in rows))
        yield frame


def _center(direction: str, way: float) -> tuple[float, float]:
    """Return the shape's center in pixels after ``way`` (0 to 1) of its path."""
    if direction in {"left", "up"}:
        way = 1 - way
    if direction in {"left", "right"}:
        return _MARGIN + way * (WIDTH - 2 * _MARGIN), HEIGHT / 2
    return WIDTH / 2, _MARGIN + way * (HEIGHT - 2 * _MARGIN)


def _row(drawing: Drawing, row: int, x: float, y: float) -> bytes:
    background = _blend(drawing.top, drawing.bottom, row / (HEIGHT - 1))
    half = _half_width(drawing.shape, row + 0.5 - y)
    pixels = bytearray(bytes(background) * WIDTH)
    left, right = x - half, x + half
    start, stop = math.ceil(left), math.floor(right)
    if start >= stop:
        return bytes(pixels)
    pixels[3 * start : 3 * stop] = bytes(drawing.color) * (stop - start)
    # The pixels at both ends are covered in part: blending them makes the motion smooth.
    pixels[3 * start - 3 : 3 * start] = bytes(_blend(background, drawing.color, start - left))
    pixels[3 * stop : 3 * stop + 3] = bytes(_blend(background, drawing.color, right - stop))
    return bytes(pixels)


def _half_width(shape: str, distance: float) -> float:
    """Return half the shape's width in pixels in the row that is ``distance`` pixels from its center."""
    if abs(distance) >= _HALF:
        return 0.0
    return math.sqrt(_HALF**2 - distance**2) if shape == "disc" else float(_HALF)


def _blend(first: Color, second: Color, share: float) -> Color:
    """Mix two colors; ``share`` is that of the second, 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue
