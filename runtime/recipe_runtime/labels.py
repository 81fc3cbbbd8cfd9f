"""Labels: pictures and videos in which each colour stands for a thing, and how much each thing counts.

Two labels have nothing in between, so their colours are never resized. Each pixel becomes the weight of its label first;
a place of the latents then has the mean weight over the area that it stands for, pixels at its rim in part.
"""

import math
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recipe_runtime.clip import shown_frames, shown_picture
from recipe_schema.ledger import ClipRow
from recipe_schema.video import is_picture


LABELS_VERSION = 1
"""Raised whenever the same labels and plan give other weights. It is part of the key of masks."""


def weigh_labels(path: Path, row: ClipRow, weights: Mapping[str, float], *, temporal: int, spatial: int) -> Tensor:
    """Return how much each place of a clip's latents counts, (frames, height, width), fp32, 0 to 1.

    The first frame stands alone, the others go in groups, as the VAE packs them. A picture has one frame, for all.

    Args:
        path: The labels.
        row: What the plan says of their clip.
        weights: Of labels, see `weight_map`.
        temporal: Frames of a group.
        spatial: Height and width of a place, in pixels.

    Raises:
        MediaError: The file can't be decoded, or ends too early.
    """
    if is_picture(path):
        return torch.from_numpy(_places(weight_map(shown_picture(path), weights), row, spatial)).float()[None]
    each = ((_places(weight_map(frame, weights), row, spatial), samples) for frame, samples in shown_frames(path, row))
    frames = (place for place, samples in each for _ in range(samples))
    groups = [next(frames)]
    groups += [np.mean(list(islice(frames, temporal)), axis=0) for _ in range((row.bucket_frames - 1) // temporal)]
    for _ in frames:  # what is left is nothing; the reader checks the length at its end
        pass
    return torch.from_numpy(np.stack(groups)).float()


def weight_map(picture: NDArray[np.uint8], weights: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the weight of each pixel's label, (height, width).

    Args:
        picture: (height, width, 3), RGB.
        weights: By a colour such as ``#ff8000``, or a gray value; others weigh 0. With none, each but black weighs 1.
    """
    colors = picture.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    if not weights:
        return (colors != 0).astype(np.float64)
    found = np.zeros(colors.shape)
    for label, weight in weights.items():
        found[colors == _color(label)] = weight
    return found


def _color(label: str) -> int:
    return int(label[1:], 16) if label.startswith("#") else int(label) * 0x010101


def _places(weights: NDArray[np.float64], row: ClipRow, spatial: int) -> NDArray[np.float64]:
    """Average weights of pixels over what becomes one place of the latents of a clip that is resized and cropped."""
    height, width = weights.shape
    down = _shares(height, height / row.resize_height, row.crop_top, row.bucket_height // spatial, spatial)
    across = _shares(width, width / row.resize_width, row.crop_left, row.bucket_width // spatial, spatial)
    return down @ weights @ across.T


def _shares(pixels: int, scale: float, first: int, places: int, spatial: int) -> NDArray[np.float64]:
    """Return which share each pixel of a line has in each place, (places, pixels). The shares of a place add up to 1.

    Args:
        pixels: Of the line.
        scale: How many of them a pixel of the resized line stands for.
        first: Where the crop begins, in pixels of the resized line.
        places: Places in the crop.
        spatial: Length of a place, in pixels of the resized line.
    """
    shares = np.zeros((places, pixels))
    for place in range(places):
        begin, end = ((first + spatial * edge) * scale for edge in (place, place + 1))
        for pixel in range(math.floor(begin), min(math.ceil(end), pixels)):
            shares[place, pixel] = min(pixel + 1, end) - max(pixel, begin)
    return shares / shares.sum(axis=1, keepdims=True)
