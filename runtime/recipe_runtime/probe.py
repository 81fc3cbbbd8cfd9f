"""Takes one pass through the largest bucket before training, so that a run that does not fit ends in its first minute.

Gradients are thrown away and weights are not updated, so that training begins with the same bits.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from recipe_runtime.batches import BatchMaker
from recipe_runtime.context import Context
from recipe_runtime.memory import peak_bytes, predicted_gb, reset_peak, shortage_explained
from recipe_runtime.state import TrainState
from recipe_runtime.step import backward
from recipe_schema.events import MemoryProbed
from recipe_schema.optimizers import STORAGE


_FAR = 10_000
"""Steps ahead in which the largest bucket is looked for."""

_PASSES = 2
"""The second pass of a step finds the gradients of the first, and is its peak."""

_NO_STEP = -1
"""The step of the probe, so that nothing that is counted in a step is counted."""


def probe(ctx: Context, state: TrainState, batches: BatchMaker) -> None:
    """Take a pass, as a step of the largest bucket does, and tell what it takes.

    Args:
        ctx: The run.
        state: Where training stands. It is the same afterwards, bit for bit.
        batches: Feeds the steps.

    Raises:
        OutOfMemory: There is not enough memory.
    """
    step, last = state.step, ctx.plan.body.schedule.max_steps
    usual = ctx.settings.train.batch_size
    largest = max(
        ctx.plan.body.buckets, key=lambda b: ((b.batch_size or usual) * b.width * b.height * b.frames, b.name)
    )
    bucket, shape = largest.name, largest.name.partition("/")[0]
    first = batches.first_of(shape, largest.batch_size or usual, range(step, min(last, step + _FAR)))
    if first is None:
        return
    began = time.monotonic()
    reset_peak(ctx.device)
    state.step = _NO_STEP
    try:
        with shortage_explained(ctx, "the probe before step 1", bucket=bucket), _discarded(state):
            batch = batches.make(first).to(ctx.device)
            moments = _room_for_moments(ctx, state)
            for part in batch.parts[:_PASSES]:
                if state.alignment is not None:
                    state.alignment.begin(first)
                backward(state.model, part, len(batch.samples), ctx.settings.train, state.alignment)
            del moments
    finally:
        state.step = step
    ctx.recorder.emit(
        MemoryProbed(
            bucket=bucket,
            peak_gb=peak_bytes(ctx.device) / 1e9,
            taken_by="tensors" if ctx.device.type == "cuda" else "process",
            predicted_gb=predicted_gb(ctx.plan.meta, bucket),
            seconds=time.monotonic() - began,
        )
    )


def _room_for_moments(ctx: Context, state: TrainState) -> torch.Tensor | None:
    """Take the memory that the optimizer will have after its first step; None if it has it."""
    if any(state.optimizer.state.values()):  # schedule-free has empty ones from the beginning
        return None
    weights = sum(weight.numel() for weight in state.optimized().values())
    size = int(STORAGE[ctx.settings.optimizer.name].full * weights)
    return torch.ones(size, dtype=torch.uint8, device=ctx.device)


@contextmanager
def _discarded(state: TrainState) -> Iterator[None]:
    """Throw away the gradients that come."""
    if state.release is not None:
        state.release.discards = True
    try:
        yield
    finally:
        for weight in (*state.model.parameters(), *state.optimized().values()):
            weight.grad = None
        if state.release is not None:
            state.release.discards = False
