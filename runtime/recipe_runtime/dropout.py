"""Lets the adapter's dropout depend on the seed, the step and the micro-batch alone, so that a resumed run drops alike."""

from typing import Any

import torch
from torch import nn

from recipe_runtime.randomness import generator
from recipe_runtime.state import TrainState


def count_dropout(state: TrainState, *, seed: int, first: int = 0) -> None:
    """Seed torch's own random numbers, which dropout draws from, before each forward pass of training.

    Args:
        state: Its model is watched, and its step is read.
        seed: The run's seed.
        first: Micro-batches of a step that come before those of this process.
    """
    place = {"step": -1, "pass": 0}

    def begin(model: nn.Module, _inputs: Any) -> None:
        if model.training:
            place.update({"step": state.step, "pass": place["pass"] + 1 if place["step"] == state.step else first})
            torch.manual_seed(generator(seed, "lora-dropout", state.step, place["pass"]).initial_seed())

    state.model.register_forward_pre_hook(begin)
