"""Stage ``train``: makes everything that the loop uses, goes on from the latest checkpoint, and runs the loop."""

import functools

from recipe_runtime import checkpoint
from recipe_runtime.batches import BatchMaker
from recipe_runtime.build import build_model
from recipe_runtime.context import Context
from recipe_runtime.dropout import count_dropout
from recipe_runtime.ema import WeightAverage
from recipe_runtime.encode_text import text_index
from recipe_runtime.encode_video import latent_index
from recipe_runtime.errors import RunError
from recipe_runtime.loop import train
from recipe_runtime.models.trained import trained_parameters
from recipe_runtime.optim import build_optimizer
from recipe_runtime.order import Order
from recipe_runtime.stage import report_stage
from recipe_runtime.state import TrainState
from recipe_runtime.stop import StopRequested
from recipe_runtime.validate import draw_clips, missing_clips, planned_clips
from recipe_schema.events import Resumed, Warned


def run(ctx: Context, stop: StopRequested) -> None:
    """Train to the plan's last step, and draw the validation clips on the way.

    Raises:
        StoppedBySignal: Someone asked the run to stop; the state is saved.
        RunError: Training could not go on, or it is done and a validation clip could not be drawn.
    """
    last = ctx.plan.body.schedule.max_steps
    planned_clips(ctx, last)  # two prompts with one file name are an error now, and not hours from now
    checkpoint.sweep(ctx.run_dir)
    found = checkpoint.latest(
        ctx.run_dir, plan_id=ctx.plan.plan_id, warn=lambda message: ctx.recorder.emit(Warned(message=message))
    )
    done = 0 if found is None else found.step
    failures: tuple[str, ...] = ()
    with report_stage(ctx.recorder, "train", total=last, reused=done, unit="steps", stop=stop):
        if done < last or missing_clips(ctx, last):
            failures = _train(ctx, found, stop)
    if failures:
        raise RunError(
            f"training is done, but {len(failures)} validation clips could not be drawn ({failures[0]}); correct the "
            "cause and run the same command again: it draws them and goes on"
        )


def build_state(ctx: Context) -> TrainState:
    """Make the state of a training that begins: the model as it is published, and no memory of gradients."""
    model = build_model(ctx)
    optimizer = build_optimizer(trained_parameters(model).values(), ctx.settings.optimizer)
    average = WeightAverage(model, ctx.settings.ema) if ctx.settings.ema.enabled else None
    state = TrainState(model=model, optimizer=optimizer, average=average, step=0)
    if ctx.settings.model.type == "lora" and ctx.settings.model.lora.dropout > 0:
        count_dropout(state, seed=ctx.settings.train.seed)
    return state


def _train(ctx: Context, found: checkpoint.Checkpoint | None, stop: StopRequested) -> tuple[str, ...]:
    state = build_state(ctx)
    if found is not None:
        state.load(found.read(), found.step)
        ctx.recorder.emit(Resumed(step=found.step, path=found.folder.relative_to(ctx.run_dir).as_posix()))
    schedule, seed = ctx.plan.body.schedule, ctx.settings.train.seed
    order = Order(ctx.rows, seed=seed, samples_per_step=schedule.samples_per_step)
    texts = text_index(ctx)
    batches = BatchMaker(ctx, order, latents=latent_index(ctx), texts=texts)
    draw = functools.partial(draw_clips, ctx, state, texts, stop)
    return train(ctx, state, batches.make, draw=draw, stop=stop)
