"""Scheduled sampling: some training inputs are not made of clip and noise, but sampled by the model itself.

At inference the model sees what it made, errors included; in training it sees perfect mixtures of clip and noise. Here a
sample may start at more noise than its level and is sampled down to it by the model as it is, without gradients, one
timestep (a thousandth of the noise level) after the other. The idea is that of "Scheduled Sampling for Sequence
Prediction" (arXiv:1506.03099), for diffusion models of "Input Perturbation Reduces Exposure Bias" (arXiv:2301.11706) and
"Elucidating the Exposure Bias" (arXiv:2308.15321).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from recipe_runtime.unipc import UniPc
from recipe_schema.sections.regularizers import Rollout


TIMESTEPS = 1000
"""Timesteps of the whole way from noise to clip."""

LEAST_SIGMA = 0.05
"""Samples with less noise are not rolled out: the target would be their drift divided by next to nothing."""

_WHOLE_WITHIN = 1e-3
"""A timestep that is this close below a whole number is that number: levels are sums of rounded ones."""

Predict = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Gives the velocity of some samples of a batch: their latents, noise levels (chosen,) and indices (chosen,)."""

Step = Callable[[Predict, Tensor, Tensor, Tensor], Tensor]
"""Takes some samples one timestep on: the model, their latents, noise levels (chosen,) and indices (chosen,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """The second noise level of samples that have two.

    Attributes:
        sigma: Where it arrives, (batch,).
        places: Which places have it, (batch, frames, height, width), bool.
    """

    sigma: Tensor
    places: Tensor


def probability(settings: Rollout, step: int) -> float:
    """Return the share of samples that are rolled out in a step.

    Args:
        settings: The rollout's settings.
        step: Optimizer steps before this one: the first is 0.
    """
    if step < settings.start_step:
        return 0.0
    if settings.ramp_steps == 0:
        return settings.probability
    start = settings.probability if settings.prob_start is None else settings.prob_start
    progress = min((step - settings.start_step) / settings.ramp_steps, 1.0)
    if settings.ramp_shape == "cosine":
        progress = (1 - math.cos(math.pi * progress)) / 2
    return start + (settings.prob_end - start) * progress


def draw_offset(settings: Rollout, step: int, sigma: float, draw: torch.Generator) -> int:
    """Return for how many timesteps a sample is rolled out; 0 leaves it as it is.

    With r uniform in 0…1 the length is uniform, r² or 1 - r² of the largest. No sample starts beyond pure noise.

    Args:
        settings: The rollout's settings.
        step: Optimizer steps before this one.
        sigma: The noise level that the sample is trained at.
        draw: Two numbers are drawn from it, whatever comes of them.
    """
    chance, part = torch.rand(2, generator=draw, dtype=torch.float64).tolist()
    if sigma < LEAST_SIGMA or chance >= probability(settings, step):
        return 0
    longest = settings.max_step_offset
    if settings.strategy == "uniform":
        offset = int(part * (longest + 1))
    else:
        offset = round((part**2 if settings.strategy == "biased_early" else 1 - part**2) * longest)
    return min(offset, math.floor((1 - sigma) * TIMESTEPS + 1e-6))


def timesteps(sigma: Tensor, *, exact: bool) -> Tensor:
    """Return what the transformer is told of noise levels, (batch,): 1000 sigma, or the whole number below."""
    scaled = sigma * TIMESTEPS
    return scaled if exact else (scaled + _WHOLE_WITHIN).floor().to(torch.int64)


def within(offsets: Tensor, sigma: Tensor, other: Tensor) -> Tensor:
    """Cut the rollouts of samples with two levels, (batch,) each: neither starts beyond pure noise or ends at next to none."""
    high, low = torch.maximum(sigma, other).double(), torch.minimum(sigma, other)
    # Levels in fp32 are less than 1e-7 from what they stand for.
    most = ((1 - high) * TIMESTEPS + 1e-4).floor().to(offsets.dtype)
    return torch.where(low < LEAST_SIGMA, torch.zeros_like(offsets), torch.minimum(offsets, most))


@torch.no_grad()
def roll_out(  # noqa: PLR0913 - the last two are for samples with two levels, and for slices of weights
    predict: Predict,
    start: Callable[[Tensor], Tensor],
    sigma: Tensor,
    offsets: Tensor,
    *,
    sampler: str,
    order: int,
    second: Second | None = None,
    longest: int = 0,
) -> Tensor:
    """Sample a batch from more noise down to its levels.

    All samples arrive together: one that has fewer timesteps to go joins later. At each timestep the model sees only the
    samples that are under way.

    Args:
        predict: The model's velocity.
        start: Gives the batch at noise levels (batch,).
        sigma: The levels to arrive at, (batch,).
        offsets: Timesteps to go, (batch,), whole numbers.
        sampler: ``euler``, ``heun`` or ``unipc``.
        order: Of ``unipc``.
        second: The second levels, where samples have two; it goes as far as the first.
        longest: For how many timesteps the model is asked, whoever is under way: each pass gathers weights from all
            processes, which have to take as many. 0 asks as often as there is something to ask.
    """
    moving = start(sigma + offsets / TIMESTEPS)
    step = _unipc(sigma, offsets, order, second) if sampler == "unipc" else _STEPS[sampler]
    for left in range(longest or int(offsets.max()), 0, -1):
        chosen = (offsets >= left).nonzero(as_tuple=True)[0]
        if not len(chosen):
            for _ in range(PASSES[sampler]):
                predict(moving[:1], sigma[:1], torch.zeros_like(offsets[:1]))
            continue
        here = sigma[chosen] + left / TIMESTEPS
        moving[chosen] = step(predict, moving[chosen], here, chosen)
    return moving


def _euler(predict: Predict, noisy: Tensor, sigma: Tensor, chosen: Tensor) -> Tensor:
    return noisy - predict(noisy, sigma, chosen) / TIMESTEPS


def _heun(predict: Predict, noisy: Tensor, sigma: Tensor, chosen: Tensor) -> Tensor:
    """Take the mean of the velocities at both ends of an Euler step (Karras et al., arXiv:2206.00364, algorithm 1)."""
    first = predict(noisy, sigma, chosen)
    second = predict(noisy - first / TIMESTEPS, sigma - 1 / TIMESTEPS, chosen)
    return noisy - (first + second) / (2 * TIMESTEPS)


def _unipc(sigma: Tensor, offsets: Tensor, order: int, second: Second | None) -> Step:
    """Return a step of UniPC, which remembers what came before for each sample, and each of its levels, by itself."""
    samplers, others = ([UniPc(order=order, steps=count) for count in offsets.tolist()] for _ in range(2))

    def step(predict: Predict, noisy: Tensor, here: Tensor, chosen: Tensor) -> Tensor:
        velocity = predict(noisy, here, chosen)

        def moved(each: list[UniPc], levels: Tensor) -> Tensor:
            found = zip(chosen.tolist(), noisy, velocity, levels.tolist(), strict=True)
            return torch.stack([each[i].step(x, v, level, level - 1 / TIMESTEPS) for i, x, v, level in found])

        first = moved(samplers, here)
        if second is None:
            return first
        other = moved(others, here + (second.sigma - sigma)[chosen])
        return torch.where(second.places[chosen][:, None], other, first)

    return step


_STEPS: Mapping[str, Step] = {"euler": _euler, "heun": _heun}

PASSES: Mapping[str, int] = {"euler": 1, "heun": 2, "unipc": 1}
"""How often the model is asked for each timestep."""


def rolled_target(noisy: Tensor, data: Tensor, noise: Tensor, sigma: Tensor, offsets: Tensor, *, target: str) -> Tensor:
    """Return the velocity that is learnt from inputs of which some were rolled out.

    ``sigma`` is (batch,), or (batch, 1, frames, height, width) where a sample has two levels.
    ``rederived`` is (x - data) / sigma, which leads from where the sample is to its clip; for a sample that was not rolled
    out that is noise - data. ``kept`` is noise - data for all.
    """
    straight = noise - data
    if target == "kept":
        return straight
    shape = (-1, *[1] * (data.ndim - 1))
    level = sigma.clamp(min=LEAST_SIGMA)
    level = level.view(shape) if level.ndim == 1 else level
    return torch.where((offsets > 0).view(shape), (noisy - data) / level, straight)
