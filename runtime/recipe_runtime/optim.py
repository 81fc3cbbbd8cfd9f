"""The optimizer: torch's AdamW on fp32 weights."""

from collections.abc import Iterable

from torch import nn
from torch.optim import AdamW

from recipe_schema.sections.optimizer import Optimizer


_FUSED = ("cpu", "cuda")
"""Devices on which torch has one kernel for the whole update."""


def build_optimizer(parameters: Iterable[nn.Parameter], settings: Optimizer) -> AdamW:
    """Build the optimizer. The learning rate is set anew for each step, see `recipe_runtime.schedule`."""
    trained = list(parameters)
    return AdamW(
        trained,
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=all(parameter.device.type in _FUSED for parameter in trained),
    )
