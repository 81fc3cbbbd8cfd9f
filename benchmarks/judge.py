"""Tells what a clip of the small world shows: shape, colour, direction and background, by arithmetic alone.

What differs from the most frequent gray is the shape. Its hue is the colour, the way of its centre the direction, and the
known shape that overlaps best with it, drawn at the same place and size, is the shape.
"""

import colorsys
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recipe_compiler.fetch.shapes import BACKGROUNDS, COLORS, DIRECTIONS, NEW_SHAPE, SHAPES, Frames, coverage


CHROMA = 50
"""Difference between a pixel's largest and smallest channel from which on it is no gray. Codecs and VAEs stain a little."""
LEAST = 20
"""Pixels of a shape: with fewer there is none."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a clip shows; None where nothing can be made out."""

    shape: str | None
    color: str | None
    direction: str | None
    background: str


def judge(clip: Frames) -> Seen:
    """Say what a clip shows, (frames, height, width, 3) of 0 to 255."""
    masks = [foreground(frame) for frame in clip]
    background = background_of(clip)
    if any(mask.sum() < LEAST for mask in (masks[0], masks[-1])):
        return Seen(shape=None, color=None, direction=None, background=background)
    overlaps = [overlaps_of(mask) for mask in masks if mask.sum() >= LEAST]
    shape = max(overlaps[0], key=lambda name: sum(overlap[name] for overlap in overlaps))
    return Seen(shape=shape, color=color_of(clip, masks), direction=direction_of(masks), background=background)


def foreground(frame: Frames) -> Mask:
    """Return which pixels of a frame, (height, width, 3), are coloured, as most of those around them are."""
    colored = np.pad(frame.max(axis=-1).astype(int) - frame.min(axis=-1) > CHROMA, 1)
    around = np.lib.stride_tricks.sliding_window_view(colored, (3, 3)).sum(axis=(2, 3))
    return around > 4


def background_of(clip: Frames) -> str:
    """Return the background whose gray is nearest to the middle of all gray pixels."""
    masks = np.stack([foreground(frame) for frame in clip])
    gray = np.median(clip.mean(axis=-1)[~masks]) if not masks.all() else 0.0
    return min(BACKGROUNDS, key=lambda name: abs(BACKGROUNDS[name] - gray))


def color_of(clip: Frames, masks: list[Mask]) -> str:
    """Return the colour whose hue is nearest to that of the shape."""
    mean = np.concatenate([frame[mask] for frame, mask in zip(clip, masks, strict=True)]).mean(axis=0) / 255
    hue = colorsys.rgb_to_hsv(*mean)[0]

    def distance(name: str) -> float:
        other = colorsys.rgb_to_hsv(*(channel / 255 for channel in COLORS[name]))[0]
        return abs((hue - other + 0.5) % 1 - 0.5)

    return min(COLORS, key=distance)


def direction_of(masks: list[Mask]) -> str:
    """Return the direction in which the shape's centre goes from the first frame to the last one."""
    way = center(masks[-1]) - center(masks[0])
    return max(DIRECTIONS, key=lambda name: float(way @ np.array(DIRECTIONS[name])))


def center(mask: Mask) -> NDArray[np.float64]:
    """Return the mean place of a shape's pixels, right and down."""
    down, right = np.nonzero(mask)
    return np.array([right.mean(), down.mean()])


def overlaps_of(mask: Mask) -> Mapping[str, float]:
    """Return how well each known shape covers a shape: the share of what either covers that both do.

    The known shape is drawn with the same area and the same centre.
    """
    overlaps = {}
    for name in (*SHAPES, NEW_SHAPE):
        area, offset = _measures(name)
        radius = math.sqrt(mask.sum() / area)
        right, down = center(mask) + 0.5 - radius * offset
        other = coverage(name, right, down, radius, len(mask)) > 0.5
        overlaps[name] = float((mask & other).sum() / (mask | other).sum())
    return overlaps


@functools.cache
def _measures(name: str) -> tuple[float, NDArray[np.float64]]:
    """Return the area of a shape of radius 1, and its centre of mass."""
    drawn = coverage(name, 32.0, 32.0, 24.0, 64) > 0.5
    return drawn.sum() / 24.0**2, (center(drawn) + 0.5 - 32.0) / 24.0
