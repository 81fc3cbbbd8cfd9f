"""What the transformer sees of a micro-batch, and what it should predict.

A sample has one noise level, or two (self-flow): its tokens then have either one or the other. A first frame that is given
has one of its own in any case.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from recipe_runtime.batches import MicroBatch
from recipe_runtime.objective import interpolate, velocity
from recipe_runtime.rollout import Second, roll_out, rolled_target, timesteps, within
from recipe_schema.sections.train import Train


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the transformer sees.

    Attributes:
        noisy: Latents, (batch, channels, frames, height, width).
        sigma: Their noise levels, (batch,), or (batch, 1, frames, height, width) where a sample has two.
        timestep: What the transformer is told of them, (batch,) or (batch, tokens).
        target: The velocity that it should predict, of the latents' shape.
        offsets: For how many timesteps each sample was rolled out, (batch,), whole numbers; None if none was.
        unrolled: The velocity that it predicts for the inputs as they were before a rollout, of the latents' shape; None
            where nobody asks.
    """

    noisy: Tensor
    sigma: Tensor
    timestep: Tensor
    target: Tensor
    offsets: Tensor | None = None
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
    """Mix clips and noise, at two levels where a sample has two, and let the model sample what is to be rolled out.

    Each token is rolled out from its own level plus the rollout's length to its own level: a timestep is as long everywhere.
    """
    second = None
    if part.second_sigma is not None:
        second = Second(sigma=part.second_sigma, places=_second_places(part))
    sigma = _levels(part, part.sigma)
    plain = Inputs(
        noisy=_mixed(part, sigma), sigma=sigma, timestep=_told(part), target=velocity(part.latents, part.noise)
    )
    offsets = part.offsets if part.offsets is None or second is None else within(part.offsets, part.sigma, second.sigma)
    if offsets is None or (part.longest == 0 and not offsets.any()):
        return plain

    def ask(noisy: Tensor, sigma: Tensor, chosen: Tensor) -> Tensor:
        some = _some(part, chosen)
        exact = settings.timesteps == "exact"
        other = None if some.second_sigma is None else timesteps(some.second_sigma + (sigma - some.sigma), exact=exact)
        some = replace(some, timestep=timesteps(sigma, exact=exact), second_timestep=other)
        told = replace(some, timestep=_told(some))
        found = predict(model, noisy, told, mixed_precision=settings.mixed_precision).float()
        return found if some.first is None else some.first.held(found)

    rollout = part.rollout
    with not_training(model):
        noisy = roll_out(
            ask,
            lambda sigma: _mixed(part, _levels(part, sigma)),
            part.sigma,
            offsets,
            sampler=rollout.sampler,
            order=rollout.order,
            second=second,
            longest=part.longest,
        )
        compensates = rollout.reflexflow and rollout.reflexflow_alpha * rollout.reflexflow_beta2 > 0
        unrolled = _unrolled(model, plain, part, offsets, settings) if compensates else None
    target = rolled_target(noisy, part.latents, part.noise, sigma, offsets, target=rollout.target)
    return replace(plain, noisy=noisy, target=target, offsets=offsets, unrolled=unrolled)


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


def _mixed(part: MicroBatch, sigma: Tensor) -> Tensor:
    shown = part.noise if part.extra_noise is None else part.noise + part.extra_noise
    return mixture(replace(part, noise=shown, sigma=sigma))


def _levels(part: MicroBatch, sigma: Tensor) -> Tensor:
    """Return the levels of samples whose first one is ``sigma``, (batch,), and whose second one is as far from there as ever.

    (batch,), or with two levels (batch, 1, frames, height, width).
    """
    if part.second_sigma is None:
        return sigma
    other = part.second_sigma + (sigma - part.sigma)
    apart = (-1, 1, 1, 1, 1)
    return torch.where(_second_places(part)[:, None], other.view(apart), sigma.view(apart))


def _second_places(part: MicroBatch) -> Tensor:
    """Return which places have the second level, (batch, frames, height, width), bool."""
    assert part.second_tokens is not None, "there is a second level"
    places = part.second_tokens
    for axis in (1, 2, 3):
        places = places.repeat_interleave(part.latents.shape[axis + 1] // part.second_tokens.shape[axis], dim=axis)
    return places


def _told(part: MicroBatch) -> Tensor:
    """Return what the transformer is told, (batch,), or with two levels (batch, tokens)."""
    if part.second_timestep is None:
        return part.timestep
    assert part.second_tokens is not None, "there is a second level"
    return torch.where(part.second_tokens.flatten(1), part.second_timestep[:, None], part.timestep[:, None])


def _some(part: MicroBatch, chosen: Tensor) -> MicroBatch:
    """Return what is told of some samples, by their indices (chosen,). Latents and noise stay those of all."""
    names = ("sigma", "timestep", "text", "mask", "second_sigma", "second_timestep", "second_tokens")
    values: dict[str, Any] = {name: getattr(part, name) for name in names}
    some: dict[str, Any] = {name: value[chosen] for name, value in values.items() if value is not None}
    return replace(part, first=None if part.first is None else part.first.of(chosen), **some)


@torch.no_grad()
def _unrolled(model: nn.Module, plain: Inputs, part: MicroBatch, offsets: Tensor, settings: Train) -> Tensor:
    """Return the velocity for the samples before their rollout; 0 for those that have none."""
    rolled = offsets.nonzero(as_tuple=True)[0]
    chosen = rolled if len(rolled) else torch.zeros_like(offsets[:1])  # other processes take this pass, too
    some = replace(_some(part, chosen), timestep=plain.timestep[chosen])
    answers = torch.zeros_like(plain.noisy)
    found = predict(model, plain.noisy[chosen], some, mixed_precision=settings.mixed_precision).float()
    if len(rolled):
        answers[chosen] = found
    return answers
