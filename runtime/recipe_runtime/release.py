"""Updates each weight in the backward pass, as soon as its gradient is there, and frees the gradient."""

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_value_
from torch.optim.optimizer import Optimizer

from recipe_runtime.errors import PlanRefused
from recipe_schema.sections.train import Train


class GradientRelease:
    """Hooks on all weights that an optimizer trains, of which each is a group of its own.

    Args:
        optimizer: The optimizer.
        settings: Clipping and accumulation.

    Attributes:
        discards: Free gradients, and leave the weights as they are.

    Raises:
        PlanRefused: A step has several micro-batches, or gradients are clipped by their norm.
    """

    def __init__(self, optimizer: Optimizer, settings: Train) -> None:
        if settings.gradient_accumulation_steps > 1:
            raise PlanRefused(
                "`optimizer.release_gradients` needs `train.gradient_accumulation_steps: 1`; raise `train.batch_size` "
                "instead, or leave it out"
            )
        if settings.max_grad_norm > 0 and settings.grad_clip_method == "norm":
            raise PlanRefused(
                "`optimizer.release_gradients` can't clip by the norm of all gradients; set `train.max_grad_norm: 0` or "
                "`train.grad_clip_method: value`, or leave it out"
            )
        self._optimizer = optimizer
        self._groups = {group["params"][0]: group for group in optimizer.param_groups}
        self._limit = settings.max_grad_norm
        self._norms: dict[Tensor, Tensor] = {}
        self.discards = False
        for parameter in self._groups:
            parameter.register_post_accumulate_grad_hook(self._update)

    def begin(self) -> None:
        """Forget the gradients of the step before."""
        self._norms.clear()

    def total_norm(self) -> Tensor:
        """Return the norm of all gradients of this step, before clipping, as `torch.nn.utils.get_total_norm` does."""
        norms = [self._norms[parameter] for parameter in self._groups if parameter in self._norms]
        return torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.tensor(0.0)

    def _update(self, parameter: Tensor) -> None:
        assert isinstance(parameter, nn.Parameter), "hooks are on weights"
        assert parameter.grad is not None, "the hook comes after the gradient"
        if self.discards:
            parameter.grad = None
            return
        self._norms[parameter] = torch.linalg.vector_norm(parameter.grad)
        if self._limit > 0:
            clip_grad_value_([parameter], self._limit)
        groups = self._optimizer.param_groups
        self._optimizer.param_groups = [self._groups[parameter]]
        try:
            self._optimizer.step()
        finally:
            self._optimizer.param_groups = groups
        parameter.grad = None
