"""A small world of clips: one shape of one colour moves in one direction over a plain background.

A model that knew nothing can learn all of it in minutes, and a few lines of arithmetic can tell whether a clip shows what
its caption says. Each scene is drawn from its own seed, so the world is the same on every machine.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray


SIZE, FRAMES, RATE = 64, 9, 16
"""Width and height of clips in pixels, their frames, and frames per second."""

SHAPES = ("circle", "square", "triangle", "ring")
NEW_SHAPE = "bar"
"""A shape that is in no clip of `scenes`: what fine-tuning is to add."""
COLORS: Mapping[str, tuple[int, int, int]] = {
    "red": (230, 40, 40),
    "yellow": (235, 215, 40),
    "green": (40, 190, 60),
    "cyan": (40, 210, 220),
    "blue": (50, 80, 235),
    "magenta": (220, 50, 210),
}
DIRECTIONS: Mapping[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
"""Steps to the right and down."""
BACKGROUNDS: Mapping[str, int] = {"black": 10, "dark gray": 75, "light gray": 170, "white": 245}
"""Levels of gray, 0 to 255."""

_SENTENCES = (
    "a {color} {shape} moves {direction} over a {background} background",
    "on a {background} background, a {color} {shape} slides {direction}",
    "a {shape} in {color} drifts {direction}, and the background is {background}",
    "a {background} background with a {color} {shape} that travels {direction}",
)
_FINE = 4
"""Samples in a pixel, across and down: edges are smooth."""
_TRAVEL = (18, 24)
"""Pixels from the first frame to the last one."""
_RADIUS = (14, 17)
"""Half the size of a shape, in pixels."""
_ASIDE = 6
"""Pixels by which the middle of its way may be beside the middle of the picture, right or down."""
_HELD_OUT = 6
"""One scene of so many is never drawn for training."""

_SQUARE, _HOLE, _BAR = 0.9, 0.6, 0.42
"""Half the side of a square, the radius of a ring's hole and half the height of a bar, in radii."""

Frames = NDArray[np.uint8]
"""A clip, (frames, height, width, 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a clip shows."""

    shape: str
    color: str
    direction: str
    background: str

    @property
    def name(self) -> str:
        """A name that files can have."""
        return "-".join((self.color, self.shape, self.direction, self.background.replace(" ", "-")))

    def captions(self) -> tuple[str, ...]:
        """Return what it shows in several wordings."""
        facts = {"shape": self.shape, "color": self.color, "direction": self.direction}
        return tuple(sentence.format(background=self.background, **facts) for sentence in _SENTENCES)


def scenes(*, held_out: bool, shapes: Sequence[str] = SHAPES) -> Iterator[Scene]:
    """Yield the scenes for training, or those that are kept from it. Every attribute occurs in both.

    Args:
        held_out: Which of the two.
        shapes: The shapes.
    """
    for places in product(*(range(len(names)) for names in (shapes, COLORS, DIRECTIONS, BACKGROUNDS))):
        # Attributes shift against each other, so that no pair of them is held out altogether.
        if (sum(places) % _HELD_OUT == 0) == held_out:
            shape, color, direction, background = places
            yield Scene(
                shape=shapes[shape],
                color=list(COLORS)[color],
                direction=list(DIRECTIONS)[direction],
                background=list(BACKGROUNDS)[background],
            )


def draw(scene: Scene, take: int) -> Frames:
    """Draw a clip. Each ``take`` has another place, size and speed."""
    chance = random.Random(f"{scene.name}/{take}")  # noqa: S311 - a drawing, no secret
    radius, travel = chance.uniform(*_RADIUS), chance.uniform(*_TRAVEL)
    right, down = DIRECTIONS[scene.direction]
    room = [SIZE / 2 - radius - 1 - travel / 2 * abs(step) for step in (right, down)]
    aside = [chance.uniform(-1, 1) * min(free, _ASIDE) for free in room]
    center = [SIZE / 2 + away for away in aside]
    gray, color = BACKGROUNDS[scene.background], np.array(COLORS[scene.color], np.float64)
    clip = np.empty((FRAMES, SIZE, SIZE, 3), np.uint8)
    for index in range(FRAMES):
        way = travel * (index / (FRAMES - 1) - 0.5)
        share = coverage(scene.shape, center[0] + way * right, center[1] + way * down, radius)[..., None]
        clip[index] = np.rint(gray + share * (color - gray)).astype(np.uint8)
    return clip


def coverage(shape: str, x: float, y: float, radius: float, size: int = SIZE) -> NDArray[np.float64]:
    """Return which share of each pixel a shape covers, (size, size).

    Args:
        shape: Its name.
        x: Its center, pixels from the left edge.
        y: Its center, pixels from the upper edge.
        radius: Half its width and height, in pixels.
        size: Pixels of the picture, across and down.
    """
    places = (np.arange(size * _FINE) + 0.5) / _FINE
    right, down = (places[None, :] - x) / radius, (places[:, None] - y) / radius
    inside = _INSIDE[shape](right, down)
    share: NDArray[np.float64] = inside.reshape(size, _FINE, size, _FINE).mean(axis=(1, 3))
    return share


def _circle(right: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.bool_]:
    return right**2 + down**2 <= 1


def _square(right: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.maximum(abs(right), abs(down)) <= _SQUARE


def _triangle(right: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (abs(right) <= (down + 1) / 2) & (down <= 1)


def _ring(right: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.bool_]:
    return _circle(right, down) & (right**2 + down**2 >= _HOLE**2)


def _bar(right: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (abs(right) <= 1) & (abs(down) <= _BAR)


_INSIDE = {"circle": _circle, "square": _square, "triangle": _triangle, "ring": _ring, "bar": _bar}
