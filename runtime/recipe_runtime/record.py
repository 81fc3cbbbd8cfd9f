"""Writes a run's events: one JSON line each, and a call to everyone who listens."""

import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from recipe_runtime.errors import RunError
from recipe_schema.events import EVENTS_FILE, Event, to_record


class Recorder:
    """Appends events to ``events.jsonl`` in a run directory.

    Args:
        run_dir: The run directory. It must exist.
        listeners: Called with each event after it was written. They must not call `emit`; they have `emit_later`.

    Raises:
        RunError: The file can't be opened.
    """

    def __init__(self, run_dir: Path, listeners: Sequence[Callable[[Event], None]] = ()) -> None:
        self._path = run_dir / EVENTS_FILE
        self._listeners = list(listeners)
        self._later: SimpleQueue[tuple[str, Event]] = SimpleQueue()
        try:
            # A killed process may have left half a line. Ours must not be glued to it.
            self._before = b"\n" if _ends_in_half_a_line(self._path) else b""
            # Without a buffer, which would hold what a full disk did not take and fail again when it is closed.
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise self._unwritable(error) from error

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call a listener with each event from now on."""
        self._listeners.append(listener)

    def emit(self, event: Event) -> None:
        """Write one event, at once, and tell the listeners. Then do so with those that wait.

        Raises:
            RunError: It can't be written. Nobody was told.
        """
        self._write_and_tell(timestamp(), event)
        self.emit_waiting()

    def emit_later(self, event: Event) -> None:
        """Keep an event until the next one is emitted. Any thread may call this, and it never waits."""
        self._later.put((timestamp(), event))

    def emit_waiting(self) -> None:
        """Write the events that were kept for later, and tell the listeners.

        Raises:
            RunError: One can't be written.
        """
        while True:
            try:
                now, event = self._later.get_nowait()
            except Empty:
                return
            self._write_and_tell(now, event)

    def _write_and_tell(self, now: str, event: Event) -> None:
        line = self._before + json.dumps(to_record(event, now), ensure_ascii=False).encode() + b"\n"
        try:
            while line:
                line = line[self._file.write(line) :]
                self._before = b"\n" if line else b""
        except OSError as error:
            raise self._unwritable(error) from error
        for listener in self._listeners:
            listener(event)

    def close(self) -> None:
        """Close the file. Listeners are closed by whoever made them."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _unwritable(self, error: OSError) -> RunError:
        return RunError(
            f"{self._path} can't be written: {error}; make room or correct the rights, and run the same command again"
        )


def timestamp() -> str:
    """Return the time in UTC, to the millisecond, as events state it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Silence(Recorder):
    """Takes events and tells nobody: of several processes the first one tells."""

    def __init__(self) -> None:
        """Open nothing."""

    def emit(self, event: Event) -> None:
        """Do nothing."""

    def emit_later(self, event: Event) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Kept(Silence):
    """Keeps events for the first process, which tells them."""

    def __init__(self) -> None:
        """Open nothing."""
        self._events: list[Event] = []

    def emit(self, event: Event) -> None:
        """Keep an event."""
        self._events.append(event)

    def taken(self) -> list[Event]:
        """Return the events since the last call, in order."""
        events, self._events = self._events, []
        return events


def _ends_in_half_a_line(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
