"""One optimizer step: losses and gradients over all micro-batches, clipping, and the update."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm

from recipe_runtime.batches import MicroBatch, StepBatch
from recipe_runtime.objective import interpolate, sample_losses, velocity
from recipe_runtime.optim import set_rate
from recipe_runtime.release import GradientRelease
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


def train_step(  # noqa: PLR0913 - what a step needs, and who shares it
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: StepBatch,
    *,
    rate: float,
    settings: Train,
    release: GradientRelease | None = None,
    team: Team = ALONE,
) -> StepResult:
    """Take one optimizer step, unless loss or gradients are not finite.

    Args:
        model: The transformer.
        optimizer: Its optimizer.
        batch: The samples, on the model's device.
        rate: The learning rate of this step.
        settings: Precision, loss and clipping.
        release: Updates weights in the backward pass. A gradient that is not finite is then seen after it was used.
        team: The processes that share the step's samples. Gradients and losses are those of all of them.
    """
    optimizer.zero_grad(set_to_none=True)
    set_rate(optimizer, rate)
    if release is not None:
        release.begin()
        losses = _backward(model, batch.parts[0], len(batch.samples), settings)
        return StepResult(losses=tuple(losses.tolist()), grad_norm=release.total_norm().item())
    mine = torch.cat([_backward(model, part, len(batch.samples), settings) for part in batch.parts])
    losses = team.gather_losses(mine)
    parameters = [parameter for parameter in model.parameters() if parameter.grad is not None]
    team.sum_gradients(gradients(parameters))
    norm = get_total_norm(gradients(parameters))
    result = StepResult(losses=tuple(losses.tolist()), grad_norm=norm.item())
    if result.finite:
        _clip(parameters, norm, settings)
        optimizer.step()
    return result


def gradients(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """Return the gradients that are there."""
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def predict(model: nn.Module, noisy: Tensor, part: MicroBatch, *, mixed_precision: str) -> Tensor:
    """Return the transformer's velocity for noisy latents, (batch, channels, frames, height, width)."""
    with torch.autocast(noisy.device.type, dtype=torch.bfloat16, enabled=mixed_precision == "bf16"):
        prediction: Tensor = model(
            hidden_states=noisy,
            encoder_hidden_states=part.text,
            timestep=part.timestep,
            encoder_attention_mask=part.mask,
            return_dict=False,
        )[0]
    return prediction


def _backward(model: nn.Module, part: MicroBatch, samples: int, settings: Train) -> Tensor:
    """Add a micro-batch's share to the gradients and return its losses, (batch,).

    Each sample weighs 1 / samples, so that the split into micro-batches changes nothing.
    """
    shown = part.noise if part.extra_noise is None else part.noise + part.extra_noise
    noisy = interpolate(part.latents, shown, part.sigma)
    prediction = predict(model, noisy, part, mixed_precision=settings.mixed_precision)
    losses = sample_losses(prediction, velocity(part.latents, part.noise), part.sigma, settings)
    (losses.sum() / samples).backward()
    return losses.detach()


def _clip(parameters: list[nn.Parameter], norm: Tensor, settings: Train) -> None:
    if settings.max_grad_norm == 0:
        return
    if settings.grad_clip_method == "norm":
        clip_grads_with_norm_(parameters, settings.max_grad_norm, norm)
    else:
        clip_grad_value_(parameters, settings.max_grad_norm)
