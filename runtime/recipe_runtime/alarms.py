"""Looks out for a loss that leaps, and for a step that does not end."""

import faulthandler
import os
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from recipe_runtime.context import Context
from recipe_runtime.errors import RunError
from recipe_schema.events import Failed, LossSpiked, StepHung
from recipe_schema.exits import Exit
from recipe_schema.sections.alarms import Alarms


_FAREWELL = 10.0
"""Seconds that webhooks get to send word of a hung step before the process ends."""


class SpikeAlarm:
    """Compares each loss with the median of those before it.

    A median does not follow single leaps, so that an alarm does not hide the next one. While the loss stays high, it is
    told once.

    Args:
        settings: Threshold and window.
    """

    def __init__(self, settings: Alarms) -> None:
        self._factor = settings.loss_spike_factor
        self._least = -(-settings.loss_spike_window // 2)
        self._losses: deque[float] = deque(maxlen=settings.loss_spike_window)
        self._high = False

    def hear(self, step: int, loss: float) -> LossSpiked | None:
        """Take note of a step's loss, and return an alarm if it leapt.

        Args:
            step: Steps done, this one included.
            loss: Its loss.
        """
        if self._factor is None:
            return None
        median = statistics.median(self._losses) if len(self._losses) >= self._least else 0.0
        self._losses.append(loss)
        was_high, self._high = self._high, 0 < median < loss / self._factor
        if not self._high or was_high:
            return None
        return LossSpiked(step=step, loss=loss, median=median, factor=self._factor)


class Watchdog:
    """A thread that waits for each step to end.

    Args:
        ctx: The run.
        farewell: Seconds between the event of a hung step and the end of the process.
    """

    def __init__(self, ctx: Context, *, farewell: float | None = None) -> None:
        self._ctx = ctx
        self._limit = ctx.settings.alarms.step_timeout
        self._stops = ctx.settings.alarms.on_hang == "stop" and ctx.rank == 0
        told = ctx.settings.tracking.webhooks
        self._farewell = farewell if farewell is not None else _FAREWELL if told else 1.0
        self._change = threading.Condition()
        self._step: int | None = None
        self._since = 0.0
        self._over = False

    @contextmanager
    def watching(self) -> Iterator["Watchdog"]:
        """Watch the steps that are taken inside."""
        if self._limit is None:
            yield self
            return
        thread = threading.Thread(target=self._watch, args=(self._limit,), name="watchdog", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            with self._change:
                self._over = True
                self._change.notify()
            thread.join()

    @contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Watch a step, the first of which is 1."""
        self._set(number)
        try:
            yield
        finally:
            self._set(None)

    def _set(self, number: int | None) -> None:
        with self._change:
            self._step, self._since = number, time.monotonic()
            self._change.notify()

    def _watch(self, limit: float) -> None:
        told: int | None = None
        with self._change:
            while not self._over:
                if self._step is None or self._step == told:
                    self._change.wait()
                    continue
                left = self._since + limit - time.monotonic()
                if left > 0:
                    self._change.wait(left)
                    continue
                told = self._step
                self._tell(told, limit)

    def _tell(self, step: int, limit: float) -> None:
        """Write all stacks, tell of it, and end the process if it is to stop."""
        rank = self._ctx.rank
        path = self._ctx.run_dir / f"hang-{step:08d}{f'-process-{rank}' if rank else ''}.txt"
        try:
            with path.open("w", encoding="utf-8") as file:
                file.write(f"step {step} had not ended after {limit:g} seconds\n\n")
                file.flush()
                faulthandler.dump_traceback(file, all_threads=True)
            kept = path.name
        except OSError as error:
            kept = f"(not written: {error})"
        event = StepHung(step=step, seconds=limit, path=kept)
        if not self._stops:
            self._ctx.recorder.emit_later(event)
            return
        message = (
            f"step {step} had not ended after {limit:g} seconds (`alarms.step_timeout`); {path} shows where each thread "
            "stood; run the same command again, or raise the limit"
        )
        try:
            self._ctx.recorder.emit(event)  # the thread that else does this hangs
            self._ctx.recorder.emit(Failed(message=message, exit_code=int(Exit.FAILED)))
        except RunError as error:
            message = f"{message} ({error})"
        sys.stderr.write(f"recipe: {message}\n")
        sys.stderr.flush()
        time.sleep(self._farewell)
        os._exit(Exit.FAILED)
