"""Tells of a stage's beginning, progress and end, and stops between items when someone asked for it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from recipe_runtime.errors import StoppedBySignal
from recipe_runtime.record import Recorder
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Interrupted, StageFinished, StageProgress, StageStarted
from recipe_schema.marks import Stage


@dataclass(slots=True, kw_only=True)
class StageReport:
    """A stage under way.

    Attributes:
        recorder: Takes the events.
        stage: The stage.
        total: Its items.
        done: Items that are finished, reused ones included.
        stop: Whether someone asked the run to stop.
    """

    recorder: Recorder
    stage: Stage
    total: int
    done: int
    stop: StopRequested

    def finish(self, items: int) -> None:
        """Count ``items`` more as finished.

        Raises:
            StoppedBySignal: Someone asked the run to stop. What is finished is kept.
        """
        self.done += items
        self.recorder.emit(StageProgress(stage=self.stage, done=self.done, total=self.total))
        self.stop_if_asked()

    def stop_if_asked(self) -> None:
        """Stop here if someone asked for it and something is left to do.

        Raises:
            StoppedBySignal: Someone asked the run to stop. What is finished is kept.
        """
        if self.stop.requested is not None and self.done < self.total:
            self.recorder.emit(Interrupted(signal=self.stop.requested, step=0))
            raise StoppedBySignal(self.stop.requested, 0)


@contextmanager
def report_stage(
    recorder: Recorder, stage: Stage, *, total: int, reused: int, unit: str, stop: StopRequested
) -> Iterator[StageReport]:
    """Emit a stage's start, and its end if it gets there.

    Args:
        recorder: Takes the events.
        stage: The stage.
        total: Its items.
        reused: Items that are there already.
        unit: What an item is, in the plural, as in ``clips``.
        stop: Whether someone asked the run to stop.
    """
    began = time.monotonic()
    recorder.emit(StageStarted(stage=stage, total=total, reused=reused, unit=unit))
    yield StageReport(recorder=recorder, stage=stage, total=total, done=reused, stop=stop)
    seconds = time.monotonic() - began
    recorder.emit(StageFinished(stage=stage, total=total, reused=reused, seconds=seconds))
