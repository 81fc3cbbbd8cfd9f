"""Writes a run's events: one JSON line each, and a call to everyone who listens."""

import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from recipe_schema.events import EVENTS_FILE, Event, to_record


class Recorder:
    """Appends events to ``events.jsonl`` in a run directory.

    Args:
        run_dir: The run directory. It must exist.
        listeners: Called with each event after it was written.
    """

    def __init__(self, run_dir: Path, listeners: Sequence[Callable[[Event], None]] = ()) -> None:
        path = run_dir / EVENTS_FILE
        torn = _ends_in_half_a_line(path)
        self._file = path.open("a", encoding="utf-8", newline="\n")
        self._listeners = tuple(listeners)
        if torn:
            # A killed process left half a line. Ours must not be glued to it.
            self._file.write("\n")

    def emit(self, event: Event) -> None:
        """Write one event, at once, and tell the listeners."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._file.write(json.dumps(to_record(event, now), ensure_ascii=False) + "\n")
        self._file.flush()
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


def _ends_in_half_a_line(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
