"""Remembers what was probed, so that a second look at unchanged files costs next to nothing."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from recipe_compiler.data.probe import Probe
from recipe_compiler.data.probing import ask_each, probe_each


if TYPE_CHECKING:
    from recipe_compiler.data.motion import Wish


VERSION = 4
"""Raised when `recipe_compiler.data.probe` learns to see more."""

Report = Callable[[int, int], None]
"""Is told how many files are done, and how many there are."""

_Stamp = tuple[int, int]
"""Size in bytes, and time of modification in ns: the same file as before has the same."""

_BATCH = 100
"""Probes are kept in batches, so that another process waits for a moment only, and an interrupt loses little."""


class ProbeIndex:
    """A table of probes, keyed by path, size and time of modification.

    It is a convenience: where it can't be read or written, everything is probed, and nothing else changes.
    """

    def __init__(self, file: Path | None, *, recalls: bool = True) -> None:
        """Open the table.

        Args:
            file: Without one, nothing is remembered.
            recalls: Take what is known of unchanged files. Otherwise each is probed, and remembered anew.
        """
        self._recalls = recalls
        self._database: sqlite3.Connection | None = None
        if file is None:
            return
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(file, timeout=10)
            self._database.execute(
                f"CREATE TABLE IF NOT EXISTS probes_{VERSION} (path TEXT PRIMARY KEY, size INT, mtime INT, facts TEXT)"
            )
            self._database.execute("CREATE TABLE IF NOT EXISTS motion (key TEXT PRIMARY KEY, pixels REAL)")
            self._database.commit()
        except (OSError, sqlite3.Error):
            self._forget()

    def __enter__(self) -> Self:
        """Use it in a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the table."""
        self._forget()

    def probe_all(self, files: Iterable[Path], report: Report) -> dict[Path, Probe]:
        """Probe files that are new or changed, and recall the others.

        Args:
            files: Absolute paths.
            report: Called with the number of files done and their total.
        """
        files = list(files)
        # Before probing, as a file may change meanwhile.
        stamps = {file: seen for file in files if (seen := stamp(file)) is not None}
        known = self._recall(stamps) if self._recalls else {}
        fresh = [file for file in files if file not in known]
        report(len(known), len(files))
        batch: dict[Path, Probe] = {}
        for file, facts in probe_each(fresh):
            known[file] = batch[file] = facts
            report(len(known), len(files))
            if len(batch) >= _BATCH:
                self._remember(batch, stamps)
                batch.clear()
        self._remember(batch, stamps)
        return known

    def motion_of_all(self, wishes: Sequence["Wish"], report: Report) -> dict[str, float | str]:
        """Measure the motion of clips that were not measured yet, and recall the others.

        Args:
            wishes: The clips. Equal ones are measured once.
            report: Called with the number of different clips done and their total.

        Returns:
            By the wish's key the pixels in half a second, or why there are none. That is not remembered.
        """
        different = {wish.key: wish for wish in wishes}
        known: dict[str, float | str] = dict(self._recall_motion(different))
        fresh = [wish for key, wish in different.items() if key not in known]
        report(len(known), len(different))
        questions = [(wish.file, {"path": str(wish.file), "window": dict(wish.window)}) for wish in fresh]
        for number, answer in ask_each(questions):
            key = fresh[number].key
            known[key] = answer["pixels"] if "pixels" in answer else str(answer["problem"])
            self._write("INSERT OR REPLACE INTO motion VALUES (?, ?)", [(key, answer.get("pixels"))])
            report(len(known), len(different))
        return known

    def _recall_motion(self, keys: Iterable[str]) -> dict[str, float]:
        found: dict[str, float] = {}
        if self._database is None:
            return found
        try:
            for key in keys:
                row = self._database.execute("SELECT pixels FROM motion WHERE key = ?", (key,)).fetchone()
                if row is not None and isinstance(row[0], float):
                    found[key] = row[0]
        except sqlite3.Error:
            self._forget()
        return found

    def _recall(self, stamps: Mapping[Path, _Stamp]) -> dict[Path, Probe]:
        known: dict[Path, Probe] = {}
        if self._database is None:
            return known
        question = f"SELECT facts FROM probes_{VERSION} WHERE path = ? AND size = ? AND mtime = ?"  # noqa: S608 - a number
        try:
            for file, stamp in stamps.items():
                row = self._database.execute(question, (str(file), *stamp)).fetchone()
                if row is not None:
                    known[file] = Probe(**json.loads(row[0]))
        except (sqlite3.Error, ValueError, TypeError):
            self._forget()
        return known

    def _remember(self, batch: Mapping[Path, Probe], stamps: Mapping[Path, _Stamp]) -> None:
        seen = (file for file in batch if file in stamps)
        rows = [(str(file), *stamps[file], json.dumps(asdict(batch[file]))) for file in seen]
        self._write(f"INSERT OR REPLACE INTO probes_{VERSION} VALUES (?, ?, ?, ?)", rows)  # noqa: S608 - a number

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if self._database is None:
            return
        try:
            self._database.executemany(statement, rows)
            self._database.commit()
        except sqlite3.Error:
            self._forget()

    def _forget(self) -> None:
        """Go on without the table."""
        if self._database is not None:
            self._database.close()
        self._database = None


def stamp(file: Path) -> _Stamp | None:
    """Return size and time of modification; None for what can't be looked at, such as a link that leads nowhere."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def default_index_file() -> Path | None:
    """Return the place of the table in the user's cache folder; None for a user without one."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home folder, as for an unnamed user of a container
        return None
    return cache / "sana-recipes" / "probes.sqlite"
