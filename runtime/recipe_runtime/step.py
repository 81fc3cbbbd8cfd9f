"""One optimizer step: losses and gradients over all micro-batches, clipping, and the update."""

import math
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm

from recipe_runtime.batches import MicroBatch, StepBatch
from recipe_runtime.crepa import Alignment
from recipe_runtime.inputs import Inputs, make_cleaner, make_inputs, not_training, predict
from recipe_runtime.objective import sample_losses
from recipe_runtime.optim import set_rate
from recipe_runtime.reflexflow import drift, emphasis
from recipe_runtime.release import GradientRelease
from recipe_runtime.rollout import LEAST_SIGMA
from recipe_runtime.sharding import Shards
from recipe_runtime.team import ALONE, Team
from recipe_schema.sections.train import Train


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What came of a step.

    Attributes:
        losses: Of each sample, in order.
        grad_norm: Norm of all gradients before clipping.
    """

    losses: tuple[float, ...]
    grad_norm: float

    @property
    def loss(self) -> float:
        """Mean over the samples."""
        return math.fsum(self.losses) / len(self.losses) if all(map(math.isfinite, self.losses)) else math.nan

    @property
    def finite(self) -> bool:
        """Whether loss and gradients are numbers. If not, the weights are of no use, or were left as they were."""
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)


def train_step(  # noqa: PLR0913 - the last four are for runs that ask for them
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: StepBatch,
    *,
    rate: float,
    settings: Train,
    release: GradientRelease | None = None,
    alignment: Alignment | None = None,
    team: Team = ALONE,
    shards: Shards | None = None,
) -> StepResult:
    """Take one optimizer step, unless loss or gradients are not finite.

    Args:
        model: The transformer.
        optimizer: Its optimizer.
        batch: The samples, on the model's device.
        rate: The learning rate of this step.
        settings: Precision, loss and clipping.
        release: Updates weights in the backward pass. A gradient that is not finite is then seen after it was used.
        alignment: Adds to the loss, and has begun the step.
        team: The processes that share the step's samples. Gradients and losses are those of all of them.
        shards: This process's slices of the weights, where they are spread over the team.
    """
    optimizer.zero_grad(set_to_none=True)
    if shards is not None:
        shards.forget_gradients()
    set_rate(optimizer, rate)
    if release is not None:
        release.begin()
        losses = backward(model, batch.parts[0], len(batch.samples), settings, alignment)
        return StepResult(losses=tuple(losses.tolist()), grad_norm=release.total_norm().item())
    mine = torch.cat([backward(model, part, len(batch.samples), settings, alignment) for part in batch.parts])
    losses = team.of_all_samples(mine)
    beside = () if alignment is None else alignment.parameters().values()
    whole = [p for p in (*(() if shards is not None else model.parameters()), *beside) if p.grad is not None]
    team.sum_gradients(gradients(whole))
    norm = get_total_norm(gradients(whole))
    sliced = [] if shards is None else shards.gradients_ready()
    if shards is not None:
        norm = shards.total_norm(get_total_norm(gradients(sliced)), norm)
    parameters = [*sliced, *whole]
    result = StepResult(losses=tuple(losses.tolist()), grad_norm=norm.item())
    if result.finite:
        _clip(parameters, norm, settings)
        optimizer.step()
    return result


def gradients(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """Return the gradients that are there."""
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def backward(model: nn.Module, part: MicroBatch, samples: int, settings: Train, alignment: Alignment | None) -> Tensor:
    """Add a micro-batch's share to the gradients and return its losses, (batch,), without what alignment adds.

    Each sample weighs 1 / samples, so that the split into micro-batches changes nothing.
    """
    if alignment is not None and alignment.active and part.second_sigma is not None:
        _teach(model, part, settings, alignment)
    else:
        part = replace(part, second_sigma=None, second_timestep=None, second_tokens=None)
    inputs = make_inputs(model, part, settings)
    told = replace(part, timestep=inputs.timestep)
    with nullcontext() if alignment is None else alignment.listening():
        prediction = predict(model, inputs.noisy, told, mixed_precision=settings.mixed_precision)
    losses = _losses(prediction, inputs, part, settings)
    added = None if alignment is None else alignment.losses(part.latents, part.features)
    ((losses if added is None else losses + added).sum() / samples).backward()
    return losses.detach()


def _losses(prediction: Tensor, inputs: Inputs, part: MicroBatch, settings: Train) -> Tensor:
    """Return the losses, (batch,), with ReflexFlow's terms for samples that were rolled out."""
    rollout, weights = part.rollout, part.weights
    if inputs.offsets is None or not rollout.reflexflow:
        return sample_losses(prediction, inputs.target, inputs.sigma, settings, weights)
    rolled = inputs.offsets > 0
    if inputs.unrolled is not None:
        strength = rollout.reflexflow_alpha * rollout.reflexflow_beta2
        more = emphasis(prediction, inputs.unrolled, rolled, strength=strength)
        weights = more if weights is None else weights * more
    losses = sample_losses(prediction, inputs.target, inputs.sigma, settings, weights)
    if rollout.reflexflow_beta1 == 0:
        return losses
    back = inputs.noisy - part.latents
    if inputs.sigma.ndim > 1:  # the velocity that leads straight to the clip depends on how far it is from each place
        back = back / inputs.sigma.clamp(min=LEAST_SIGMA)
    return losses + rollout.reflexflow_beta1 * drift(prediction, back, rolled, part.weights)


def _teach(model: nn.Module, part: MicroBatch, settings: Train, alignment: Alignment) -> None:
    """Let the average of the weights show its features of the samples with less noise."""
    noisy, told = make_cleaner(part)
    with not_training(model), alignment.teaching():
        predict(model, noisy, replace(part, timestep=told), mixed_precision=settings.mixed_precision)


def _clip(parameters: list[nn.Parameter], norm: Tensor, settings: Train) -> None:
    if settings.max_grad_norm == 0:
        return
    if settings.grad_clip_method == "norm":
        clip_grads_with_norm_(parameters, settings.max_grad_norm, norm)
    else:
        clip_grad_value_(parameters, settings.max_grad_norm)
