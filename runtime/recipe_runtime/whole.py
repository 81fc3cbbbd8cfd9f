"""A model in one piece, for what one process does with it alone: measuring a clip, or drawing one."""

import torch

from recipe_runtime.build import build_model
from recipe_runtime.context import Context
from recipe_runtime.ema import WeightAverage
from recipe_runtime.models.trained import trained_parameters
from recipe_runtime.optim import store_weights
from recipe_runtime.state import TrainState


def whole_state(ctx: Context, state: TrainState) -> TrainState:
    """Return a state that a process can measure and draw with alone: the same, or where weights are spread a copy.

    Then all processes of the team have to come here, and each gets a whole copy of its own. A pass through spread weights
    needs all processes at once; through a copy each goes by itself, however many passes its clips take.
    """
    if state.shards is None:
        return state
    parts = state.shards.gathered(state.own_parts(memory=False), everywhere=True)
    model = build_model(ctx, parts.get("split"))
    store_weights(model, ctx.settings)
    average = None if state.average is None else WeightAverage(model, ctx.settings.ema)
    with torch.no_grad():
        for name, parameter in trained_parameters(model).items():
            parameter.copy_(parts.get("averaged", parts["model"])[name])
    if average is not None:
        average.load(parts["ema"])
    return TrainState(model=model, optimizer=state.optimizer, average=average, step=state.step, team=state.team)
