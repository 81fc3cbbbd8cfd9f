"""What a store says of its values: the index of its shards has it, and of files of one value a table beside them.

The table is a cache and no more: a row counts as long as the file has the size and time that it had, values are never
read by it, and where it is missing or can't be used, headers are read as if it had never been there.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from recipe_schema.shard_index import ShardIndex
from recipe_schema.stored import read_facts


FILE = "facts.sqlite"
"""The table's file, in the store's folder."""

_TABLE = "facts_1"
_PATIENCE_SECONDS = 10.0
"""How long another process that writes the table is waited for."""

_Stamp = tuple[int, int]
"""Size in bytes, and time of modification in ns."""

_Row = tuple[_Stamp, dict[str, str] | None]
"""A file's stamp, and its facts: None where it says nothing."""


def all_facts(store: Path, kind: str) -> Iterator[Mapping[str, str]]:
    """Yield what each value of a kind says of itself: those in shards, then files in the order of their keys.

    The table is brought up to date.

    Args:
        store: The store's folder, which may be missing.
        kind: What the values are.
    """
    index = ShardIndex(store)
    for shard in index.shards():
        if shard.kind == kind:
            yield from (place.facts for place in index.of_shard(shard.name))
    if not (store / kind).is_dir():
        return
    table = _Table(store / FILE)
    try:
        for folder in sorted((store / kind).glob("??/")):
            yield from _of_folder(table, store, f"{kind}/{folder.name}")
    finally:
        table.close()


def _of_folder(table: "_Table", store: Path, folder: str) -> Iterator[Mapping[str, str]]:
    """Yield the facts of one folder's files, most of them from the table."""
    known, stamps = table.rows(folder), _stamps(store / folder)
    fresh: dict[str, _Row] = {}
    for name in sorted(stamps):
        row = known.get(name)
        if row is None or row[0] != stamps[name]:
            try:
                row = stamps[name], read_facts(store / folder / name)
            except OSError:  # it was removed meanwhile, or is not ours to read, which the runtime will say
                continue
            fresh[name] = row
        if row[1] is not None:
            yield row[1]
    table.update(folder, fresh, gone=[name for name in known if name not in stamps])


def _stamps(folder: Path) -> dict[str, _Stamp]:
    """Return size and time of each value's file in a folder, by its name. What can't be looked at is left out."""
    stamps, names = dict[str, _Stamp](), list[str]()
    with suppress(OSError):
        names = os.listdir(folder)
    for name in names:
        if name.endswith(".safetensors"):
            with suppress(OSError):
                stat = os.stat(f"{folder}/{name}")
                stamps[name] = stat.st_size, stat.st_mtime_ns
    return stamps


class _Table:
    """The table in its file. What can't be read or written is left; a damaged file is removed, and made anew next time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._database: sqlite3.Connection | None = None
        self._writes = True
        try:
            self._database = sqlite3.connect(file, timeout=_PATIENCE_SECONDS)
            # A kill does no harm either way, and flushing each folder's rows takes seconds where there are few values.
            self._database.execute("PRAGMA synchronous = OFF")
            self._database.execute(
                f"CREATE TABLE IF NOT EXISTS {_TABLE} (folder TEXT, name TEXT, size INT, mtime INT, facts TEXT, "
                "PRIMARY KEY (folder, name)) WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            self._give_up(error)

    def rows(self, folder: str) -> dict[str, _Row]:
        """Return what is known of a folder's files, by their names."""
        if self._database is None:
            return {}
        question = f"SELECT name, size, mtime, facts FROM {_TABLE} WHERE folder = ?"  # noqa: S608 - a fixed name
        try:
            found = self._database.execute(question, (folder,))
            return {name: ((size, mtime), json.loads(facts)) for name, size, mtime, facts in found}
        except (sqlite3.Error, ValueError, TypeError) as error:
            self._give_up(error)
            return {}

    def update(self, folder: str, fresh: Mapping[str, _Row], *, gone: Sequence[str]) -> None:
        """Remember what was read of a folder's files, and forget those that are gone, in one transaction."""
        if self._database is None or not self._writes or not (fresh or gone):
            return
        rows = ((folder, name, *stamp, json.dumps(facts)) for name, (stamp, facts) in fresh.items())
        try:
            with self._database:
                self._database.executemany(f"INSERT OR REPLACE INTO {_TABLE} VALUES (?, ?, ?, ?, ?)", rows)  # noqa: S608 - a fixed name
                self._database.executemany(
                    f"DELETE FROM {_TABLE} WHERE folder = ? AND name = ?",  # noqa: S608 - a fixed name
                    ((folder, name) for name in gone),
                )
        except sqlite3.OperationalError:  # locked for long, a full disk, or one for reading only
            self._writes = False
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = None

    def _give_up(self, error: Exception) -> None:
        self.close()
        if not isinstance(error, sqlite3.OperationalError):  # the file is no table
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
