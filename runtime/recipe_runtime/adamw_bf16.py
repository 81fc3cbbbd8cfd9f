"""AdamW with weights and both moments in bf16, which are rounded at random: 8 bytes for a weight, gradient included.

An update is often smaller than half the distance of two neighbours in bf16, and rounding to the nearest then loses it
altogether. Rounding up or down by chance, the nearer neighbour more often, keeps it on average. Source: "Revisiting
BFloat16 Training" (arXiv:2010.06192), section 3; the moments are rounded likewise, since 0.999 v rounds to v.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from recipe_runtime.randomness import generator


class AdamWBf16(Optimizer):
    """AdamW (arXiv:1711.05101, algorithm 2) on bf16 weights. It computes in fp32, one tensor after the other.

    Args:
        params: Weights in bf16, or groups of them.
        lr: Learning rate.
        betas: Decay of the mean of gradients and of squared gradients.
        eps: Term that keeps the division finite.
        weight_decay: Decoupled weight decay.
        seed: Seed of the rounding, which depends on it, on the step and on the weight's place alone.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        seed: int,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self._seed = seed
        everything = (parameter for group in self.param_groups for parameter in group["params"])
        self._places = {parameter: place for place, parameter in enumerate(everything)}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient. There is no closure."""
        assert closure is None, "one forward pass a step"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.int64)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        step, (beta1, beta2) = int(state["step"]), group["betas"]
        gradient = parameter.grad.float()  # type: ignore[union-attr]  # looked at above
        mean = state["exp_avg"].float().lerp_(gradient, 1 - beta1)
        square = state["exp_avg_sq"].float().lerp_(gradient.square(), 1 - beta2)
        scale = (square / (1 - beta2**step)).sqrt_().add_(group["eps"])
        weight = parameter.float().mul_(1 - group["lr"] * group["weight_decay"])
        weight.addcdiv_(mean, scale, value=-group["lr"] / (1 - beta1**step))
        draw = generator(self._seed, "rounding", step, self._places[parameter], device=parameter.device)
        for kept, value in ((parameter, weight), (state["exp_avg"], mean), (state["exp_avg_sq"], square)):
            kept.copy_(round_at_random(value, draw))


def round_at_random(value: Tensor, draw: torch.Generator) -> Tensor:
    """Round fp32 to one of the two neighbours in bf16, to each as likely as the value is near to it.

    bf16 is the upper half of fp32's bits: adding 16 random bits to the lower half carries into the upper one just as often
    as it should, and the rest is cut off. Values that are not finite stay what they are.
    """
    bits = value.view(torch.int32)
    noise = torch.randint(0, 2**16, bits.shape, generator=draw, device=value.device, dtype=torch.int32)
    rounded = ((bits + noise) & -(2**16)).view(torch.float32)
    return torch.where(torch.isfinite(value), rounded, value).to(torch.bfloat16)
