"""ReflexFlow: a rolled-out sample teaches more than its error.

After "ReflexFlow: Rethinking Learning Objective for Exposure Bias Alleviation in Flow Matching" (arXiv:2512.04904) and the
paper that followed it, "Exposure Bias Can Alleviate Itself via Directional and Frequency Rectification in Flow Matching"
(arXiv:2606.28226). For a rolled-out input x̂ of a clip x₀, v̂ the velocity predicted there and v that for the input that
was not rolled out:

- anti-drift rectification: |v̂ / |v̂| - d / |d||² with d = x̂ - x₀, from where the sample is straight to its clip; where
  places have noise levels of their own, d = (x̂ - x₀) / σ, so that all arrive together;
- frequency compensation: the error of each place counts 1 + α β₂ b times, b = |v̂ - v| / its mean over the sample. What
  rollouts lose is mostly coarse, so v̂ - v is large where coarse parts are missing. No gradient goes through b.

The papers leave open how b is scaled; here its mean is 1, so that α has no unit.
"""

import torch
from torch import Tensor


_LEAST = 1e-12
"""Keeps a division finite where a sample was not moved at all."""


def emphasis(prediction: Tensor, unrolled: Tensor, rolled: Tensor, *, strength: float) -> Tensor:
    """Return how many times the error of each place counts, of the shape of the prediction, fp32.

    Args:
        prediction: The velocity for the inputs, (batch, channels, frames, height, width).
        unrolled: That for the inputs as they were before the rollout, of the same shape.
        rolled: Which samples were rolled out, (batch,). For the others the weights are 1.
        strength: α β₂.
    """
    exposure = (prediction.detach().float() - unrolled.float()).abs()
    share = exposure / _along(exposure.flatten(1).mean(dim=1).clamp(min=_LEAST), exposure)
    return torch.where(_along(rolled, share), 1 + strength * share, torch.ones_like(share))


def drift(prediction: Tensor, back: Tensor, rolled: Tensor, weights: Tensor | None) -> Tensor:
    """Return how far the predicted direction is from that to the clip, (batch,), 0 to 4; 0 where nothing was rolled out.

    Args:
        prediction: The velocity, (batch, channels, frames, height, width).
        back: A velocity that leads from the inputs straight to their clips, of any length, of the same shape.
        rolled: Which samples were rolled out, (batch,).
        weights: How much each place counts, (batch, 1, frames, height, width); None if all count alike.
    """
    own, true = (_unit(vector.float(), weights) for vector in (prediction, back))
    apart = (own - true).square()
    far = (apart if weights is None else apart * weights).flatten(1).sum(dim=1)
    return torch.where(rolled, far, torch.zeros_like(far))


def _unit(vector: Tensor, weights: Tensor | None) -> Tensor:
    squares = vector.square() if weights is None else vector.square() * weights
    length = squares.flatten(1).sum(dim=1).clamp(min=_LEAST).sqrt()
    return vector / _along(length, vector)


def _along(each: Tensor, like: Tensor) -> Tensor:
    """Give values of samples, (batch,), the axes of a batch."""
    return each.view(-1, *[1] * (like.ndim - 1))
