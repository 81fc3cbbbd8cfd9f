"""What the transformer sees of a micro-batch, and what it should predict."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from recipe_runtime.batches import MicroBatch
from recipe_runtime.objective import interpolate, velocity
from recipe_runtime.rollout import compares, passes_of, roll_out, rolled_target, timesteps
from recipe_schema.sections.train import Train


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the transformer sees.

    Attributes:
        noisy: Latents, (batch, channels, frames, height, width).
        sigma: Their noise levels, (batch,), or (batch, 1, frames, height, width) where a sample has two.
        timestep: What the transformer is told of them, (batch,) or (batch, tokens).
        target: The velocity that it should predict, of the latents' shape.
        unrolled: The velocity that it predicts for the inputs as they were before a rollout, of the latents' shape; None
            where nobody asks.
    """

    noisy: Tensor
    sigma: Tensor
    timestep: Tensor
    target: Tensor
    unrolled: Tensor | None = None


def predict(model: nn.Module, noisy: Tensor, part: MicroBatch, *, mixed_precision: str) -> Tensor:
    """Return the transformer's velocity for noisy latents, (batch, channels, frames, height, width)."""
    told = part.timestep if part.first is None else part.first.timesteps(part.timestep, noisy.shape[2])
    with torch.autocast(noisy.device.type, dtype=torch.bfloat16, enabled=mixed_precision == "bf16"):
        prediction: Tensor = model(
            hidden_states=noisy,
            encoder_hidden_states=part.text,
            timestep=told,
            encoder_attention_mask=part.mask,
            return_dict=False,
        )[0]
    return prediction


def mixture(part: MicroBatch) -> Tensor:
    """Return clips and noise mixed by their levels, (batch, channels, frames, height, width)."""
    each = part.sigma if part.first is None else part.first.sigmas(part.sigma, part.latents.shape[2])
    return interpolate(part.latents, part.noise, each)


def make_inputs(model: nn.Module, part: MicroBatch, settings: Train) -> Inputs:
    """Mix clips and noise, and let the model sample what is to be rolled out."""
    target = velocity(part.latents, part.noise)
    plain = Inputs(noisy=_mixed(part, part.sigma), sigma=part.sigma, timestep=part.timestep, target=target)
    own = 0 if part.offsets is None else passes_of(part.rollout, int(part.offsets.max()))
    if part.rollout_passes > own:
        _pass_along(model, plain.noisy, part, settings, times=part.rollout_passes - own)
    if part.offsets is None:
        return plain

    def ask(noisy: Tensor, sigma: Tensor, chosen: Tensor) -> Tensor:
        some = _some(part, chosen, timesteps(sigma, exact=settings.timesteps == "exact"))
        found = predict(model, noisy, some, mixed_precision=settings.mixed_precision).float()
        return found if some.first is None else some.first.held(found)

    rollout, offsets = part.rollout, part.offsets
    with not_training(model):
        noisy = roll_out(
            ask,
            lambda sigma: _mixed(part, sigma),
            part.sigma,
            offsets,
            sampler=rollout.sampler,
            order=rollout.order,
        )
        unrolled = _unrolled(model, plain.noisy, part, settings) if compares(rollout) else None
    target = rolled_target(noisy, part.latents, part.noise, part.sigma, offsets, target=rollout.target)
    return replace(plain, noisy=noisy, target=target, unrolled=unrolled)


def make_two_levels(part: MicroBatch) -> Inputs:
    """Mix clips and noise at two levels: the second one for some tokens of each sample (self-flow)."""
    other, told, tokens = part.second_sigma, part.second_timestep, part.second_tokens
    assert other is not None, "there is a second level"
    assert told is not None, "there is a second level"
    assert tokens is not None, "there is a second level"
    places = tokens
    for axis in (1, 2, 3):
        places = places.repeat_interleave(part.latents.shape[axis + 1] // tokens.shape[axis], dim=axis)
    apart = (-1, 1, 1, 1, 1)
    sigma = torch.where(places[:, None], other.view(apart), part.sigma.view(apart))
    return Inputs(
        noisy=_mixed(part, sigma),
        sigma=sigma,
        timestep=torch.where(tokens.flatten(1), told[:, None], part.timestep[:, None]),
        target=velocity(part.latents, part.noise),
    )


def make_cleaner(part: MicroBatch) -> tuple[Tensor, Tensor]:
    """Return the samples with the less noise of their two levels everywhere, and what the transformer is told of it."""
    assert part.second_sigma is not None, "there is a second level"
    assert part.second_timestep is not None, "there is a second level"
    sigma = torch.minimum(part.sigma, part.second_sigma)
    return _mixed(part, sigma), torch.minimum(part.timestep, part.second_timestep)


@contextmanager
def not_training(model: nn.Module) -> Iterator[None]:
    """Let a model work as it does after training, without dropout."""
    model.eval()
    try:
        yield
    finally:
        model.train()


@torch.no_grad()
def _pass_along(model: nn.Module, noisy: Tensor, part: MicroBatch, settings: Train, *, times: int) -> None:
    """Let other processes, whose rollouts are longer, gather the weights that this one has a part of."""
    one = _some(part, torch.zeros(1, dtype=torch.int64, device=noisy.device), part.timestep[:1])
    with not_training(model):
        for _ in range(times):
            predict(model, noisy[:1], one, mixed_precision=settings.mixed_precision)


def _mixed(part: MicroBatch, sigma: Tensor) -> Tensor:
    shown = part.noise if part.extra_noise is None else part.noise + part.extra_noise
    return mixture(replace(part, noise=shown, sigma=sigma))


def _some(part: MicroBatch, chosen: Tensor, told: Tensor) -> MicroBatch:
    first = None if part.first is None else part.first.of(chosen)
    return replace(part, text=part.text[chosen], mask=part.mask[chosen], timestep=told, first=first)


@torch.no_grad()
def _unrolled(model: nn.Module, noisy: Tensor, part: MicroBatch, settings: Train) -> Tensor:
    """Return the velocity for the samples before their rollout; 0 for those that have none."""
    assert part.offsets is not None, "something is rolled out"
    chosen = part.offsets.nonzero(as_tuple=True)[0]
    some = _some(part, chosen, part.timestep[chosen])
    answers = torch.zeros_like(noisy)
    answers[chosen] = predict(model, noisy[chosen], some, mixed_precision=settings.mixed_precision).float()
    return answers
