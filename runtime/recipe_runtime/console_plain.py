"""Shows a run as plain lines, few enough for a log file: about ten for each stage, or one every half minute."""

import time
from collections.abc import Callable
from typing import TextIO

from recipe_runtime.durations import format_duration
from recipe_runtime.meter import TrainMeter
from recipe_runtime.notes import note, stage_start, training
from recipe_schema.events import Aligned, Event, RunStarted, StageFinished, StageProgress, StageStarted, StepDone


_SHARES = 10
"""Lines of a stage, one for each tenth that is done."""

_SILENCE_SECONDS = 30.0
"""A stage under way says something at least this often."""


class PlainView:
    """Writes lines.

    Args:
        stream: Where to.
        clock: Gives the time in seconds.
        every: Whether each step and each item gets a line.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic, *, every: bool = False) -> None:
        self._stream = stream
        self._every = every
        self._clock = clock
        self._meter = TrainMeter(0)
        self._units: dict[str, str] = {}
        self._shares: dict[str, int] = {}
        self._last_line = clock()

    def show(self, event: Event) -> None:
        """Show an event, if it is worth a line."""
        match event:
            case RunStarted(max_steps=steps):
                self._meter = TrainMeter(steps)
                self._write(note(event))
            case StageStarted():
                self._start(event)
            case StageProgress(stage=stage, done=done, total=total):
                if done < total and self._is_due(stage, done, total):
                    self._write(f"{stage}: {done}/{total} {self._units[stage]}")
            case Aligned():
                self._meter.align(event)
            case StepDone():
                self._step(event)
            case StageFinished(stage=stage, seconds=seconds, total=total, reused=reused) if reused < total:
                self._write(f"{stage}: done in {format_duration(seconds)}")
            case _:
                self._write(note(event))

    def close(self) -> None:
        """Do nothing: lines need no end."""

    def _start(self, event: StageStarted) -> None:
        self._units[event.stage] = event.unit
        self._shares[event.stage] = event.reused * _SHARES // max(event.total, 1)
        self._write(stage_start(event))

    def _step(self, event: StepDone) -> None:
        self._meter.add(event)
        if self._is_due("train", event.step, self._meter.max_steps):
            self._write(training(event, self._meter))

    def _is_due(self, stage: str, done: int, total: int) -> bool:
        share = done * _SHARES // max(total, 1)
        due = share > self._shares.setdefault(stage, 0) or self._clock() - self._last_line >= _SILENCE_SECONDS
        self._shares[stage] = share
        return due or self._every

    def _write(self, line: str | None) -> None:
        if line is not None:
            self._stream.write(f"{line}\n")
            self._stream.flush()
            self._last_line = self._clock()
