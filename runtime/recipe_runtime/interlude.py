"""Something between two steps, such as drawing clips or measuring, after which training goes on as if it had not been."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from recipe_runtime.context import Context
from recipe_runtime.state import TrainState


@contextmanager
def interlude(ctx: Context, state: TrainState) -> Iterator[None]:
    """Give the device to something else, and training back what it had: mode and random numbers.

    Gradients are dropped before, which frees their memory: the next step makes them anew.
    """
    state.optimizer.zero_grad(set_to_none=True)
    devices: Sequence[torch.device] = [ctx.device] if ctx.device.type == "cuda" else []
    was_training = state.model.training
    state.model.eval()
    try:
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            yield
    finally:
        state.model.train(was_training)
