"""The weights that Schedule-Free has trained, which are not those that gradients are taken at (arXiv:2405.15682).

The method keeps z, which gradients move, and their running mean x, which is the result. Gradients are taken between them,
at y = (1 - beta1) z + beta1 x, and y is what the model holds in training. The library turns y into x and back in place,
each time with rounding. Here x is made beside y, so that drawing and saving change no bit of training.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer


@torch.no_grad()
def averaged_weights(optimizer: Optimizer, named: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return x = y + (1 - 1 / beta1) (z - y) of every weight. Before the first step it is y itself."""
    beta1 = {p: group["betas"][0] for group in optimizer.param_groups for p in group["params"]}
    return {
        name: parameter.lerp(optimizer.state[parameter]["z"], 1 - 1 / beta1[parameter])
        if "z" in optimizer.state.get(parameter, {})  # the library makes empty memories before the first step
        else parameter.detach()
        for name, parameter in named.items()
    }


@contextmanager
def weights_replaced(named: Mapping[str, nn.Parameter], others: Mapping[str, Tensor]) -> Iterator[None]:
    """Put other weights into a model, and its own back afterwards, bit for bit.

    Only pointers change, so this costs neither rounding nor, if they are on one device, memory.
    """
    own = {name: parameter.data for name, parameter in named.items()}
    try:
        for name, parameter in named.items():
            parameter.data = others[name].to(parameter.device)
        yield
    finally:
        for name, parameter in named.items():
            parameter.data = own[name]
