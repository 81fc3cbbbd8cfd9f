"""Shows a run on a terminal: a bar for each stage, and notes above them."""

from typing import TextIO

from rich.console import Console as Terminal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from recipe_runtime.durations import format_duration, format_rate
from recipe_runtime.meter import TrainMeter
from recipe_runtime.notes import note
from recipe_schema.events import (
    Aligned,
    Event,
    RunFinished,
    RunStarted,
    StageFinished,
    StageProgress,
    StageStarted,
    StepDone,
)


_STAGE = 12
"""Columns of a stage's name."""

_BARS = {100: 24, 70: 10, 0: 0}
"""Columns of a bar, on terminals of so many columns and more."""

_DISPENSABLE = ("lr", "speed", "similarity", "loss")
"""What is left out of a line that is too narrow, in this order."""


_SPARE = 6
"""Columns that have to be left for what was left out to come back: a line must not flicker when its numbers grow and shrink."""


class LiveView:
    """Draws bars.

    Args:
        stream: A terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        terminal = Terminal(file=stream, highlight=False)
        bar = next(columns for least, columns in _BARS.items() if terminal.width >= least)
        self._room = terminal.width - _STAGE - 1 - (bar + 1 if bar else 0)
        self._progress = Progress(
            TextColumn(f"{{task.description:<{_STAGE}}}"),
            *([BarColumn(bar_width=bar)] if bar else []),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            console=terminal,
        )
        self._bars: dict[str, TaskID] = {}
        self._meter = TrainMeter(0)
        self._dispensed: set[str] = set()

    def show(self, event: Event) -> None:
        """Show an event."""
        match event:
            case StageStarted(stage=stage, total=total, reused=reused, unit=unit):
                self._progress.start()
                self._bars[stage] = self._progress.add_task(stage, total=total, completed=reused, detail=unit)
            case StageProgress(stage=stage, done=done):
                self._progress.update(self._bars[stage], completed=done, detail=self._time_left(stage))
            case Aligned():
                self._meter.align(event)
            case StepDone():
                self._step(event)
            case StageFinished(stage=stage, seconds=seconds):
                self._finish(stage, seconds)
            case _:
                if isinstance(event, RunStarted):
                    self._meter = TrainMeter(event.max_steps)
                if isinstance(event, RunFinished):
                    self.close()  # the last line stands below the bars
                self._note(note(event))

    def close(self) -> None:
        """Stop drawing and leave the cursor below the bars."""
        self._progress.stop()

    def _step(self, event: StepDone) -> None:
        self._meter.add(event)
        similarity = self._meter.similarity
        parts = {
            "loss": f"loss {self._meter.loss:.4f}",
            "similarity": "" if similarity is None else f"similarity {similarity:.3f}",
            "lr": f"lr {event.learning_rate:.3g}",
            "speed": format_rate(self._meter.seconds_per_step),
            "left": f"{format_duration(self._meter.seconds_left)} left",
        }
        if "train" in self._bars:
            self._progress.update(self._bars["train"], completed=event.step, detail=self._fitting(parts))

    def _fitting(self, parts: dict[str, str]) -> str:
        """Leave out what there is no room for on a line, the least important first."""
        room = self._room - len(f"{self._meter.max_steps}/{self._meter.max_steps} ")
        left = {name: part for name, part in parts.items() if part}
        for name in _DISPENSABLE:
            spare = _SPARE if name in self._dispensed else 0
            if name in left and len("  ".join(left.values())) + spare > room:
                del left[name]
                self._dispensed.add(name)
            else:
                self._dispensed.discard(name)
        return "  ".join(left.values())

    def _time_left(self, stage: str) -> str:
        seconds = self._progress.tasks[self._progress.task_ids.index(self._bars[stage])].time_remaining
        return "" if seconds is None else f"{format_duration(seconds)} left"

    def _finish(self, stage: str, seconds: float) -> None:
        bar = self._bars[stage]
        if stage == "validate":
            # It comes again and again; its clips are told in notes.
            self._progress.remove_task(bar)
        else:
            self._progress.update(bar, detail=f"done in {format_duration(seconds)}")
            self._progress.stop_task(bar)

    def _note(self, line: str | None) -> None:
        if line is not None:
            self._progress.console.print(line, markup=False, soft_wrap=True)
