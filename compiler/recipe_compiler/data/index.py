"""Remembers what was probed, so that a second look at unchanged files costs next to nothing."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from recipe_compiler.data.probe import Probe, probe


VERSION = 2
"""Raised when `recipe_compiler.data.probe` learns to see more."""

_WORKERS = min(8, os.cpu_count() or 1)


_BATCH = 100
"""Probes are kept in batches, so that another process waits for a moment only, and an interrupt loses little."""


class ProbeIndex:
    """A table of probes, keyed by path, size and time of modification.

    It is a convenience: where it can't be read or written, everything is probed, and nothing else changes.
    """

    def __init__(self, file: Path | None) -> None:
        """Open the table; without a file, nothing is remembered."""
        self._database: sqlite3.Connection | None = None
        if file is None:
            return
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(file, timeout=10)
            self._database.execute(
                f"CREATE TABLE IF NOT EXISTS probes_{VERSION} (path TEXT PRIMARY KEY, size INT, mtime INT, facts TEXT)"
            )
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

    def probe_all(self, files: Iterable[Path], report: Callable[[int, int], None]) -> dict[Path, Probe]:
        """Probe files that are new or changed, and recall the others.

        Args:
            files: Absolute paths.
            report: Called with the number of files done and their total.
        """
        files = list(files)
        known = self._recall(files)
        fresh = [file for file in files if file not in known]
        report(len(known), len(files))
        batch: dict[Path, Probe] = {}
        with ThreadPoolExecutor(_WORKERS) as pool:
            for file, facts in zip(fresh, pool.map(probe, fresh), strict=True):
                known[file] = batch[file] = facts
                report(len(known), len(files))
                if len(batch) >= _BATCH:
                    self._remember(batch)
                    batch.clear()
        self._remember(batch)
        return known

    def _recall(self, files: list[Path]) -> dict[Path, Probe]:
        known: dict[Path, Probe] = {}
        if self._database is None:
            return known
        question = f"SELECT facts FROM probes_{VERSION} WHERE path = ? AND size = ? AND mtime = ?"  # noqa: S608 - a number
        try:
            for file in files:
                stat = file.stat()
                row = self._database.execute(question, (str(file), stat.st_size, stat.st_mtime_ns)).fetchone()
                if row is not None:
                    known[file] = Probe(**json.loads(row[0]))
        except (OSError, sqlite3.Error, ValueError, TypeError):
            self._forget()
        return known

    def _remember(self, batch: Mapping[Path, Probe]) -> None:
        if self._database is None:
            return
        try:
            for file, facts in batch.items():
                stat = file.stat()
                self._database.execute(
                    f"INSERT OR REPLACE INTO probes_{VERSION} VALUES (?, ?, ?, ?)",  # noqa: S608 - a number
                    (str(file), stat.st_size, stat.st_mtime_ns, json.dumps(asdict(facts))),
                )
            self._database.commit()
        except (OSError, sqlite3.Error):
            self._forget()

    def _forget(self) -> None:
        """Go on without the table."""
        if self._database is not None:
            self._database.close()
        self._database = None


def default_index_file() -> Path | None:
    """Return the place of the table in the user's cache folder; None for a user without one."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home folder, as for an unnamed user of a container
        return None
    return cache / "sana-recipes" / "probes.sqlite"
