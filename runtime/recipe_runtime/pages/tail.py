"""Reads a run's events as far as they are written, and goes on where it stopped."""

import json
from pathlib import Path
from typing import Any

from recipe_schema.events import EVENTS_FILE


_AT_ONCE = 1 << 20
"""Bytes that are read at once: a long run's events come in several parts."""


class Tail:
    """Follows the events file of a run, which need not be there yet.

    Args:
        run_dir: The run directory. Nothing is written there.
        offset: Where to begin, in bytes.
    """

    def __init__(self, run_dir: Path, offset: int = 0) -> None:
        self._path = run_dir / EVENTS_FILE
        self.offset = offset

    def read(self) -> list[dict[str, Any]]:
        """Return the next events: complete lines, some at once; none if there is nothing new.

        What is no event is passed over: a process that is killed leaves half a line behind.

        Raises:
            Shrunk: The file is another one now. The next call begins at its start.
        """
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, 2)
                if size < self.offset:
                    self.offset = 0
                    raise Shrunk
                file.seek(self.offset)
                content = file.read(_AT_ONCE)
                if len(content) == _AT_ONCE and b"\n" not in content:
                    content += file.readline()
        except OSError:
            return []  # not there yet, or the disk is away for a moment
        complete = content[: content.rfind(b"\n") + 1]
        self.offset += len(complete)
        return [event for line in complete.splitlines() if (event := _event(line)) is not None]


class Shrunk(Exception):  # noqa: N818 - the name says what happened
    """The events file is shorter than what was read of it."""


def read_all(run_dir: Path) -> list[dict[str, Any]]:
    """Return all events of a run, in order."""
    tail, events = Tail(run_dir), []
    before = -1
    while tail.offset != before:
        before = tail.offset
        events += tail.read()
    return events


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("event"), str) else None
