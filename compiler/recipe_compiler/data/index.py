"""Remembers what was probed, so that a second look at unchanged files costs next to nothing."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from recipe_compiler.data.probe import Probe, probe


VERSION = 1
"""Raised when `recipe_compiler.data.probe` learns to see more."""

_WORKERS = min(8, os.cpu_count() or 1)


class ProbeIndex:
    """A table of probes, keyed by path, size and time of modification."""

    def __init__(self, file: Path | None) -> None:
        """Open the table, or keep it in memory only if there is no file or it can't be written."""
        self._database = sqlite3.connect(":memory:")
        if file is not None:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                self._database = sqlite3.connect(file, timeout=10)
                self._create()
            except (OSError, sqlite3.Error):
                self._database = sqlite3.connect(":memory:")
        self._create()

    def _create(self) -> None:
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS probes (path TEXT PRIMARY KEY, version INT, size INT, mtime INT, facts TEXT)"
        )
        self._database.commit()

    def __enter__(self) -> "ProbeIndex":  # noqa: PYI034 - typing.Self is younger than Python 3.10
        """Use it in a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the table."""
        self._database.close()

    def probe_all(self, files: Iterable[Path], report: Callable[[int, int], None]) -> dict[Path, Probe]:
        """Probe files that are new or changed, and recall the others.

        Args:
            files: Absolute paths.
            report: Called with the number of files done and their total.
        """
        known: dict[Path, Probe] = {}
        fresh: list[Path] = []
        files = list(files)
        for file in files:
            recalled = self._recall(file)
            if recalled is None:
                fresh.append(file)
            else:
                known[file] = recalled
        report(len(known), len(files))
        with ThreadPoolExecutor(_WORKERS) as pool:
            for file, facts in zip(fresh, pool.map(probe, fresh), strict=True):
                known[file] = facts
                self._remember(file, facts)
                report(len(known), len(files))
        self._database.commit()
        return known

    def _recall(self, file: Path) -> Probe | None:
        try:
            stat = file.stat()
        except OSError:
            return None
        row = self._database.execute(
            "SELECT facts FROM probes WHERE path = ? AND version = ? AND size = ? AND mtime = ?",
            (str(file), VERSION, stat.st_size, stat.st_mtime_ns),
        ).fetchone()
        return Probe(**json.loads(row[0])) if row else None

    def _remember(self, file: Path, facts: Probe) -> None:
        try:
            stat = file.stat()
        except OSError:
            return
        self._database.execute(
            "INSERT OR REPLACE INTO probes VALUES (?, ?, ?, ?, ?)",
            (str(file), VERSION, stat.st_size, stat.st_mtime_ns, json.dumps(asdict(facts))),
        )


def default_index_file() -> Path:
    """Return the place of the table in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "sana-recipes" / "probes.sqlite"
