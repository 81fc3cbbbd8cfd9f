"""The training loop. Everything that it uses is made beforehand, see `recipe_runtime.train`."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import NoReturn

from recipe_runtime.alarms import SpikeAlarm, Watchdog
from recipe_runtime.batches import BatchMaker, StepBatch, prefetch
from recipe_runtime.context import Context
from recipe_runtime.errors import StoppedBySignal
from recipe_runtime.failure import report_nonfinite
from recipe_runtime.memory import shortage_explained
from recipe_runtime.peak import PeakMemory
from recipe_runtime.saving import Saver
from recipe_runtime.schedule import learning_rate
from recipe_runtime.state import TrainState
from recipe_runtime.step import StepResult, train_step
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Interrupted, StepDone


def train(
    ctx: Context,
    state: TrainState,
    batches: BatchMaker,
    *,
    measure: Callable[[], None],
    draw: Callable[[], Sequence[str]],
    stop: StopRequested,
) -> tuple[str, ...]:
    """Train until the plan's last step: save, measure, draw, stop?, step, count, report.

    Args:
        ctx: The run.
        state: Where training stands. It is changed in place.
        batches: Gives the batch of a step; the first step is 0.
        measure: Measures the clips that are not trained, if that is due at the present step.
        draw: Draws the validation clips of the present step and returns what went wrong.
        stop: Whether someone asked the run to stop.

    Returns:
        What went wrong without stopping the training.

    Raises:
        StoppedBySignal: Someone asked the run to stop; the state is saved.
        NonFiniteLoss: The loss or a gradient is not a number; the last checkpoint stays the newest.
    """
    peak = PeakMemory(ctx.device)
    last = ctx.plan.body.schedule.max_steps
    failures: list[str] = []
    spikes = SpikeAlarm(ctx.settings.alarms)
    with (
        Saver(ctx, state, kept=lambda step: _is_kept(ctx, step)) as saver,
        Watchdog(ctx).watching() as watchdog,
        closing(prefetch(batches.make, range(state.step, last))) as made,
    ):
        while True:
            saver.look()
            if state.step > saver.saved and (_is_kept(ctx, state.step) or _is_rolling(ctx, state.step)):
                saver.save()
            measure()
            if _is_drawn(ctx, state.step):
                failures += draw()
            if stop.requested is not None:
                _stop(ctx, state, saver, stop.requested)
            if state.step >= last:
                state.team.give("stop")
                return tuple(failures)
            state.team.give("step")

            peak.begin()
            result = _timed_step(ctx, state, made, batches, watchdog)
            for noticed in (peak.grown(state.step), spikes.hear(state.step, result.loss)):
                if noticed is not None:
                    ctx.recorder.emit(noticed)


def _stop(ctx: Context, state: TrainState, saver: Saver, name: str) -> NoReturn:
    """Save what is not saved yet, and end the run, as a signal asked for.

    Raises:
        StoppedBySignal: Always.
    """
    if state.step > saver.saved:
        saver.save()
    saver.finish()
    state.team.give("stop")
    ctx.recorder.emit(Interrupted(signal=name, step=state.step))
    raise StoppedBySignal(name, state.step)


def _timed_step(
    ctx: Context, state: TrainState, made: Iterator[StepBatch], batches: BatchMaker, watchdog: Watchdog
) -> StepResult:
    """Wait for the next batch, take an optimizer step with it, and report both with their times."""
    began = time.monotonic()
    with watchdog.step(state.step + 1):
        batch = next(made).to(ctx.device)
        data_seconds = time.monotonic() - began
        result = _step(ctx, state, batch, batches)
    seconds = time.monotonic() - began
    ctx.recorder.emit(_report(ctx, state.step, batch, result, times=(seconds, data_seconds)))
    return result


def _step(ctx: Context, state: TrainState, batch: StepBatch, batches: BatchMaker) -> StepResult:
    """Take an optimizer step, and bring along what follows the weights.

    Raises:
        NonFiniteLoss: The loss or a gradient is not a number.
    """
    if state.alignment is not None:
        state.alignment.begin(state.step)
    with shortage_explained(ctx, f"step {state.step + 1}", bucket=batch.bucket):
        result = train_step(
            state.model,
            state.optimizer,
            batch,
            rate=_rate(ctx, state.step),
            settings=ctx.settings.train,
            release=state.release,
            alignment=state.alignment,
            team=state.team,
            shards=state.shards,
        )
    if not result.finite:
        raise report_nonfinite(ctx, state, batch, result, whole=lambda: batches.whole(state.step))
    state.step += 1
    if state.average is not None:
        state.average.update(state.step)
    aligned = None if state.alignment is None else state.alignment.finish(state.team)
    if aligned is not None:
        ctx.recorder.emit(aligned)
    return result


def _is_kept(ctx: Context, step: int) -> bool:
    """Whether the checkpoint of a step is one that checkpoints.total_limit counts."""
    saves = ctx.settings.checkpoints
    return _is_due(ctx, step, saves.step_interval, saves.epoch_interval)


def _is_rolling(ctx: Context, step: int) -> bool:
    interval = ctx.settings.checkpoints.rolling_steps
    return interval is not None and step % interval == 0


def _is_drawn(ctx: Context, step: int) -> bool:
    looks = ctx.settings.validation
    if step == 0:
        return looks.on_startup
    early = step < min(looks.after_step, ctx.plan.body.schedule.max_steps)
    return not early and _is_due(ctx, step, looks.step_interval, looks.epoch_interval)


def _is_due(ctx: Context, step: int, steps: int | None, epochs: int | None) -> bool:
    """Tell whether a step is the last one, or one of every so many, or the first after every so many epochs."""
    schedule = ctx.plan.body.schedule
    if step == schedule.max_steps or (steps is not None and step % steps == 0):
        return True
    return epochs is not None and schedule.intervals(step, epochs) > schedule.intervals(step - 1, epochs)


def _rate(ctx: Context, step: int) -> float:
    peak, last = ctx.settings.optimizer.learning_rate, ctx.plan.body.schedule.max_steps
    return learning_rate(step, ctx.settings.lr_schedule, peak=peak, max_steps=last)


def _report(ctx: Context, step: int, batch: StepBatch, result: StepResult, *, times: tuple[float, float]) -> StepDone:
    """Describe a finished step. ``times`` are its seconds, and those of them that were spent waiting for data."""
    return StepDone(
        step=step,
        epoch=float(ctx.plan.body.schedule.epochs(step)),
        bucket=batch.bucket,
        loss=result.loss,
        learning_rate=_rate(ctx, step - 1),
        grad_norm=result.grad_norm,
        sigma=math.fsum(batch.sigmas) / len(batch.sigmas),
        seconds=times[0],
        data_seconds=times[1],
        sigmas=batch.sigmas,
        losses=result.losses,
    )
