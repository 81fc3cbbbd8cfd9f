"""Runs the stages of a plan, in their order."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import torch

from recipe_runtime import encode_features, encode_text, encode_video, export, preflight, train
from recipe_runtime.context import Context
from recipe_runtime.errors import PlanRefused, RunError, StoppedBySignal
from recipe_runtime.memory import shortage_explained
from recipe_runtime.models import random_weights
from recipe_runtime.push import push
from recipe_runtime.push.checkpoints import checkpoint_uploads
from recipe_runtime.push.repository import Repository
from recipe_runtime.record import Recorder
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Failed, RunFinished, RunStarted
from recipe_schema.exits import Exit
from recipe_schema.marks import Stage


def _encode_video(ctx: Context, stop: StopRequested) -> None:
    encode_video.run(ctx, stop)
    if encode_features.has_teacher(ctx):
        _release_memory(ctx.device)
        encode_features.run(ctx, stop)


STAGES: Mapping[Stage, Callable[[Context, StopRequested], None]] = {
    "build-model": random_weights.run,
    "encode-text": encode_text.run,
    "encode-video": _encode_video,
    "train": train.run,
    "export": lambda ctx, _stop: export.run(ctx),
}
"""What runs each stage. A stage whose results are there already does nothing."""

_INSIDE_TRAIN: frozenset[Stage] = frozenset({"validate"})
"""Stages that have no turn of their own: validation takes place between training steps."""


def execute(ctx: Context, stop: StopRequested, device: str, repository: Repository | None) -> None:
    """Check the plan against the world, run its stages, and upload what they made.

    Args:
        ctx: The run.
        stop: Whether someone asked the run to stop.
        device: Name of the device, for people.
        repository: Where the result goes; None uploads nothing.

    Raises:
        RunError: The run failed or was stopped.
    """
    began = time.monotonic()
    steps = ctx.plan.body.schedule.max_steps
    ctx.recorder.emit(RunStarted(plan_id=ctx.plan.plan_id, name=ctx.plan.name, device=device, max_steps=steps))
    preflight.check(ctx)
    if repository is not None:
        repository.open()
    followed = repository if ctx.settings.hub.push_checkpoints else None
    with checkpoint_uploads(followed, ctx.run_dir, ctx.recorder, stop):
        for stage in ctx.plan.body.stages:
            if stage.id not in _INSIDE_TRAIN:
                with shortage_explained(ctx, f"the stage {stage.id}"):
                    _runner(stage.id)(ctx, stop)
                _release_memory(ctx.device)
    if repository is not None and ctx.settings.hub.push:
        push.run(ctx.plan, ctx.run_dir, ctx.recorder, repository)
    ctx.recorder.emit(RunFinished(step=steps, seconds=time.monotonic() - began))


ENCODES: tuple[Stage, ...] = ("build-model", "encode-text", "encode-video")
"""The stages that fill the store, and the one that they need."""


def encode(ctx: Context, stop: StopRequested) -> None:
    """Check what encoding needs, then run the stages that fill the store. Several processes may do so at once.

    Args:
        ctx: The run.
        stop: Whether someone asked to stop.

    Raises:
        RunError: It failed or was stopped. What is encoded is kept.
    """
    preflight.check_encoding(ctx)
    for stage in ctx.plan.body.stages:
        if stage.id in ENCODES:
            with shortage_explained(ctx, f"the stage {stage.id}"):
                _runner(stage.id)(ctx, stop)
            _release_memory(ctx.device)


@contextmanager
def failures_told(recorder: Recorder) -> Iterator[None]:
    """Emit an event for an exception that ends the run, and let it pass.

    Args:
        recorder: Takes the event.
    """
    try:
        yield
    except StoppedBySignal:
        # Whoever stopped has told so, with what was saved.
        raise
    except RunError as error:
        _tell(recorder, Failed(message=str(error), exit_code=int(error.exit_code)))
        raise
    except Exception as error:
        _tell(recorder, Failed(message=f"{type(error).__name__}: {error}", exit_code=int(Exit.BUG)))
        raise


def _tell(recorder: Recorder, failed: Failed) -> None:
    # On a full disk the event can't be written either, and what failed first is what counts.
    with suppress(RunError):
        recorder.emit(failed)


def _runner(stage: Stage) -> Callable[[Context, StopRequested], None]:
    try:
        return STAGES[stage]
    except KeyError:
        raise PlanRefused(
            f"the plan has a stage `{stage}` that this runtime does not have; make the plan anew with `recipe plan RECIPE`"
        ) from None


def _release_memory(device: torch.device) -> None:
    """Give a stage's models back before the next one loads its own: the allocator would keep their memory."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
