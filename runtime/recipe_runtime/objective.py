"""Flow matching: the noisy sample, what is predicted, and the loss.

Source: SANA-Video (arXiv:2509.24695) trains with rectified flow as in "Scaling Rectified Flow Transformers"
(arXiv:2403.03206), equations 1 to 9, with the velocity of a straight path as the target.
"""

import torch
from torch import Tensor


def interpolate(data: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """Return x = (1 - sigma) · data + sigma · noise.

    Args:
        data: Normalized latents, (batch, channels, frames, height, width).
        noise: Standard normal, of the same shape.
        sigma: (batch,), from 0 (data) to 1 (noise).
    """
    level = sigma.view(-1, *[1] * (data.ndim - 1))
    return (1 - level) * data + level * noise


def velocity(data: Tensor, noise: Tensor) -> Tensor:
    """Return dx/dsigma = noise - data, which the transformer learns to predict."""
    return noise - data


def sample_losses(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of each sample, (batch,), in fp32."""
    return (prediction.float() - target.float()).square().flatten(1).mean(dim=1, dtype=torch.float32)
