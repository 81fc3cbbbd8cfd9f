"""A few drawn clips, on which a VAE with random weights is calibrated."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


_FRAMES, _HEIGHT, _WIDTH = 9, 64, 64

_SCENES = (
    # color of the shape, color of the background's far corner, pixels moved per frame (right, down)
    ((255, 40, 40), (30, 30, 80), (4, 0)),
    ((40, 220, 60), (200, 200, 200), (0, 4)),
    ((60, 80, 255), (250, 220, 120), (-3, 2)),
    ((240, 240, 240), (10, 10, 10), (2, -3)),
)


def moving_shapes() -> Iterator[Tensor]:
    """Yield clips of shape (1, 3, frames, height, width), values -1 to 1: a disc that moves over a gradient."""
    down, right = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    ramp = ((down + right) / (_HEIGHT + _WIDTH - 2))[..., None]
    for shape, corner, (step_right, step_down) in _SCENES:
        background = ramp * np.array(corner)
        frames = []
        for index in range(_FRAMES):
            center_right = _WIDTH // 2 + step_right * (index - _FRAMES // 2)
            center_down = _HEIGHT // 2 + step_down * (index - _FRAMES // 2)
            inside = (right - center_right) ** 2 + (down - center_down) ** 2 < (_HEIGHT // 5) ** 2
            frames.append(np.where(inside[..., None], np.array(shape), background))
        clip = torch.from_numpy(np.stack(frames)).float() / 127.5 - 1
        yield clip.permute(3, 0, 1, 2).unsqueeze(0)
