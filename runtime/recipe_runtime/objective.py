"""Flow matching: the noisy sample, what is predicted, and the loss.

Source: SANA-Video (arXiv:2509.24695) trains with rectified flow as in "Scaling Rectified Flow Transformers"
(arXiv:2403.03206), equations 1 to 9, with the velocity of a straight path as the target.
"""

import torch
from torch import Tensor

from recipe_schema.sections.train import Train


def interpolate(data: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """Return x = (1 - sigma) · data + sigma · noise.

    Args:
        data: Normalized latents, (batch, channels, frames, height, width).
        noise: Standard normal, of the same shape.
        sigma: From 0 (data) to 1 (noise): (batch,), (batch, frames), or of a shape that goes with the latents.
    """
    level = _of_places(sigma, data)
    return (1 - level) * data + level * noise


def velocity(data: Tensor, noise: Tensor) -> Tensor:
    """Return dx/dsigma = noise - data, which the transformer learns to predict."""
    return noise - data


def sample_losses(
    prediction: Tensor, target: Tensor, sigma: Tensor, settings: Train, weights: Tensor | None = None
) -> Tensor:
    """Return the loss of each sample, (batch,), in fp32.

    Args:
        prediction: The model's velocity, (batch, channels, frames, height, width).
        target: The true one, of the same shape.
        sigma: From 0 (data) to 1 (noise), (batch,), or (batch, 1, frames, height, width) where it is not the same everywhere.
        settings: ``loss_type`` and what goes with it, and ``snr_gamma``.
        weights: How much each place counts, (batch, 1, frames, height, width); None if all count alike.
    """
    difference = prediction.float() - target.float()
    each = difference.square() if settings.loss_type == "l2" else _robust(difference, sigma, settings)
    each = each if weights is None else each * weights
    if settings.snr_gamma is None:
        return _means(each)
    weight = min_snr_weight(sigma, settings.snr_gamma)
    return _means(each) * weight if weight.ndim == 1 else _means(each * weight)


def mean_squared_errors(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of each sample, (batch,), in fp32."""
    return _means((prediction.float() - target.float()).square())


def _means(each: Tensor) -> Tensor:
    return each.flatten(1).mean(dim=1, dtype=torch.float32)


def _of_places(sigma: Tensor, like: Tensor) -> Tensor:
    """Give noise levels of samples, (batch,), or of their frames, (batch, frames), the axes of a batch."""
    if sigma.ndim == 1:
        return sigma.view(-1, *[1] * (like.ndim - 1))
    return sigma[:, None, :, None, None] if sigma.ndim == 2 else sigma


def huber_c(sigma: Tensor, c: float, schedule: str) -> Tensor:
    """Return where the loss turns from squared to straight, (batch,).

    Source: "Improving Diffusion Models's Data-Corruption Resistance using Scheduled Pseudo-Huber Loss"
    (arXiv:2403.16728) and the training scripts of diffusers that follow it, with t / T as sigma and the ratio of noise
    to signal of a straight path, sigma / (1 - sigma): ``exponential`` is exp(ln(c) t / T), and ``snr`` is
    (1 - c) / (1 + noise / signal)² + c.

    Args:
        sigma: (batch,), from 0 (data) to 1 (noise).
        c: The value at full noise.
        schedule: ``constant``, ``exponential`` or ``snr``.
    """
    if schedule == "exponential":
        return c**sigma
    if schedule == "snr":
        return (1 - c) * (1 - sigma).square() + c
    return torch.full_like(sigma, c)


def min_snr_weight(sigma: Tensor, gamma: float) -> Tensor:
    """Return min((1 - sigma)², gamma · sigma²), (batch,): the weighting of Min-SNR for velocities of a straight path.

    Source: arXiv:2303.09556 weighs the squared error of the predicted data by min(SNR, gamma). From x = (1 - sigma) data +
    sigma · noise and velocity = noise - data follows data = x - sigma · velocity, so the error of the data is sigma² times
    that of the velocity. With SNR = (1 - sigma)² / sigma² the weight is sigma² min(SNR, gamma). Where signal and noise have
    powers that sum to one, sigma² is 1 / (SNR + 1), which is the form for velocities in that paper; on a straight path
    they do not, and the two differ by up to a factor of two.

    Args:
        sigma: (batch,), from 0 (data) to 1 (noise).
        gamma: The bound; 5 in the paper.
    """
    return torch.minimum((1 - sigma).square(), gamma * sigma.square())


def _robust(difference: Tensor, sigma: Tensor, settings: Train) -> Tensor:
    """Return the pseudo-Huber losses of diffusers' training scripts, with d the difference.

    ``huber`` is 2c (√(d² + c²) - c), about d² near 0; ``smooth_l1`` is that without the factor c, about 2 |d| far from 0.
    """
    c = _of_places(huber_c(sigma, settings.huber_c, settings.huber_schedule), difference)
    loss = 2 * ((difference.square() + c.square()).sqrt() - c)
    return c * loss if settings.loss_type == "huber" else loss
