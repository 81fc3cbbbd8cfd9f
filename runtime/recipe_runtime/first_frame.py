"""Image to video: the first latent frame of a sample is given, and the others are learnt.

A given frame is clean, or has a little noise of its own, and the transformer is told its level; it counts nothing in the
loss. The scheme is the authors': ``process_timesteps`` (``do_i2v``, ``noise_multiplier``) of ``diffusion/model/respace.py``
and the loss mask of ``train_video_scripts/train_video_ivjoint_chunk.py`` in github.com/NVlabs/Sana.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recipe_runtime.noise import NoiseLevel
from recipe_schema.sections.data import Dataset, Video


CLEAN = NoiseLevel(0.0, 0.0)
"""The level of a given frame without noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstFrames:
    """The first frames of a micro-batch of which at least one is given.

    Attributes:
        given: Whether a sample's is given, (batch,).
        sigma: Its share of noise where it is given, (batch,), fp32.
        timestep: What the transformer is told of it, (batch,).
    """

    given: Tensor
    sigma: Tensor
    timestep: Tensor

    def of(self, chosen: Tensor) -> "FirstFrames":
        """Return those of some samples, by their indices (chosen,)."""
        return self._changed(lambda part: part[chosen])

    def to(self, device: torch.device) -> "FirstFrames":
        """Return the same on a device."""
        return self._changed(lambda part: part.to(device, non_blocking=True))

    def pinned(self) -> "FirstFrames":
        """Return the same in memory that a CUDA device can read while the processor goes on."""
        return self._changed(lambda part: part.pin_memory())

    def sigmas(self, sigma: Tensor, frames: int) -> Tensor:
        """Return the share of noise of each frame, (batch, frames), from that of the samples, (batch,).

        From that of places, (batch, 1, frames, height, width), it returns that of places.
        """
        if sigma.ndim == 1:
            return self._replaced(sigma[:, None].repeat(1, frames), self.sigma, axis=1)
        return self._replaced(sigma, self.sigma, axis=2)

    def timesteps(self, timestep: Tensor, frames: int) -> Tensor:
        """Return what the transformer is told of each frame, (batch, frames), from that of the samples, (batch,).

        From that of tokens, (batch, tokens), it returns that of tokens.
        """
        if timestep.ndim == 1:
            return self._replaced(timestep[:, None].repeat(1, frames), self.timestep, axis=1)
        return self._replaced(timestep.unflatten(1, (frames, -1)), self.timestep, axis=1).flatten(1)

    def held(self, velocity: Tensor) -> Tensor:
        """Return a velocity, (batch, channels, frames, height, width), that leaves given frames where they are."""
        moves = torch.ones(velocity.shape[0], velocity.shape[2], device=velocity.device)
        moves[:, 0] = (~self.given).float()
        return velocity * moves[:, None, :, None, None]

    def _changed(self, change: Callable[[Tensor], Tensor]) -> "FirstFrames":
        return FirstFrames(given=change(self.given), sigma=change(self.sigma), timestep=change(self.timestep))

    def _replaced(self, each: Tensor, of_first: Tensor, *, axis: int) -> Tensor:
        """Replace the values of the first frames that are given; frames are along an axis."""
        first, others = each.narrow(axis, 0, 1), each.narrow(axis, 1, each.shape[axis] - 1)
        alike = (-1, *[1] * (each.ndim - 1))
        changed = torch.where(self.given.view(alike), of_first.to(each.dtype).view(alike), first)
        return torch.cat([changed, others], dim=axis)


def first_frames(levels: Sequence[NoiseLevel | None], *, exact: bool) -> FirstFrames | None:
    """Put together what is given of the samples of a micro-batch; None if nothing is.

    Args:
        levels: The level of each sample's first frame; None where it is not given.
        exact: Whether timesteps are unrounded.
    """
    if all(level is None for level in levels):
        return None
    told = [CLEAN if level is None else level for level in levels]
    return FirstFrames(
        given=torch.tensor([level is not None for level in levels]),
        sigma=torch.tensor([level.sigma for level in told], dtype=torch.float32),
        timestep=torch.tensor([level.timestep for level in told], dtype=torch.float32 if exact else torch.int64),
    )


def learnt_weights(weights: Tensor) -> Tensor:
    """Return the weights of a sample's loss whose first frame is given: nothing for that, and the mean over the others.

    Args:
        weights: Of the frames after the first, (frames - 1, height, width).

    Returns:
        (frames, height, width): 0, then the weights times frames / (frames - 1), so that the mean over all places is that
        over the frames that are learnt.
    """
    learnt = len(weights)
    return torch.cat([torch.zeros_like(weights[:1]), weights * ((learnt + 1) / learnt)])


def image_to_video(datasets: Sequence[Dataset]) -> Mapping[str, Video]:
    """Return the data sets that are trained or measured as image to video, by id."""
    return {dataset.id: dataset.video for dataset in datasets if dataset.video.is_i2v}
