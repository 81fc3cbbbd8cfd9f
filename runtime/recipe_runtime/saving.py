"""Saves checkpoints at once, or in the background while training goes on."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from torch import Tensor

from recipe_runtime import checkpoint
from recipe_runtime.context import Context
from recipe_runtime.errors import RunError
from recipe_runtime.state import Parts, TrainState
from recipe_schema.events import CheckpointSaved


class Saver:
    """Saves the state of a run, tells of it, and removes old checkpoints.

    In the background the state is copied to main memory first, and a thread writes the copy. Of two checkpoints the second
    waits for the first. One is told of, and an older one removed for it, only when it is whole on the disk. As a context, it
    lets the last one finish. A checkpoint of slices is written at once, by all processes together.

    Args:
        ctx: The run.
        state: Where training stands. Its step counts as saved.
        kept: Whether the checkpoint of a step is one that ``checkpoints.total_limit`` counts.
    """

    def __init__(self, ctx: Context, state: TrainState, *, kept: Callable[[int], bool]) -> None:
        self._ctx = ctx
        self._state = state
        self._kept = kept
        self._background = ctx.settings.checkpoints.background
        self._sliced = state.shards is not None and ctx.settings.checkpoints.layout == "sharded"
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoints")
        self._pending: tuple[int, Future[tuple[Path, float]]] | None = None
        self.saved = state.step

    def save(self) -> None:
        """Save the present state, or begin to.

        Raises:
            CheckpointError: This checkpoint, or the one before it, can't be written.
        """
        self.finish()
        step = self.saved = self._state.step
        if self._sliced:
            began = time.monotonic()
            folder = checkpoint.save_slices(self._ctx.run_dir, self._state, plan_id=self._ctx.plan.plan_id)
            self._tell(step, folder, time.monotonic() - began)
            return
        parts = self._state.parts()
        if self._background:
            own = parts if self._state.shards is not None else _copied(parts)  # what was gathered is a copy already
            self._pending = step, self._pool.submit(self._write, own, step)
        else:
            self._tell(step, *self._write(parts, step))

    def look(self) -> None:
        """Tell of a checkpoint that was finished in the background.

        Raises:
            CheckpointError: It can't be written.
        """
        if self._pending is not None and self._pending[1].done():
            self.finish()

    def finish(self) -> None:
        """Wait for a checkpoint that is being written.

        Raises:
            CheckpointError: It can't be written.
        """
        if self._pending is not None:
            (step, future), self._pending = self._pending, None
            self._tell(step, *future.result())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.finish()
            else:
                with suppress(RunError):  # what failed first is what counts
                    self.finish()
        finally:
            self._pool.shutdown()

    def _write(self, parts: Parts, step: int) -> tuple[Path, float]:
        began = time.monotonic()
        folder = checkpoint.save(
            self._ctx.run_dir, parts, step=step, plan_id=self._ctx.plan.plan_id, past=self._state.past()
        )
        return folder, time.monotonic() - began

    def _tell(self, step: int, folder: Path, seconds: float) -> None:
        ctx, limits = self._ctx, self._ctx.settings.checkpoints
        path = folder.relative_to(ctx.run_dir).as_posix()
        ctx.recorder.emit(CheckpointSaved(step=step, path=path, seconds=seconds))
        if limits.rolling_steps is None:
            checkpoint.prune(ctx.run_dir, saved=step, limit=limits.total_limit, counts=lambda _: True)
            return
        checkpoint.prune(ctx.run_dir, saved=step, limit=limits.total_limit, counts=self._kept)
        checkpoint.prune(ctx.run_dir, saved=step, limit=limits.rolling_total_limit, counts=lambda n: not self._kept(n))


def _copied(parts: Parts) -> dict[str, dict[str, Tensor]]:
    """Copy a state to main memory: the next step changes it while it is being written."""
    return {
        part: {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
        for part, tensors in parts.items()
    }
