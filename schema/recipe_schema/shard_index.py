"""The index of a store's shards, in SQLite: which value stands where.

Shards are the truth: whatever the index says is in their headers too. So it is brought up to date whenever it is opened:
shards that it does not know are added, as after a kill between writing and noting one, and those that are gone are
forgotten. Where it is missing or damaged it is made anew, and where it can't be used, as on a disk for reading only or
without locks, it is kept in memory. Several processes may use it at once.
"""

import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from recipe_schema.shard_tables import (
    Stamp,
    held_keys,
    known_shards,
    make_tables,
    place_of,
    places_of_shard,
    put_shard,
    remove_shard,
    remove_value,
    value_counts,
)
from recipe_schema.shards import FOLDER, SHARD_FILE, Place, ShardError, read_shard, shard_path


FILE = "index.sqlite"
"""The index's file, in the store's folder."""

_PATIENCE_SECONDS = 60.0
"""How long another process that writes the index is waited for. A shard takes it some milliseconds."""

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFile:
    """A shard that the index knows.

    Attributes:
        name: Its name.
        kind: What its values are; empty if its header can't be read.
        bytes: The size of its file.
        modified: When it was written, in seconds since 1970.
    """

    name: str
    kind: str
    bytes: int
    modified: float


def to_stderr(message: str) -> None:
    """Tell people something by the way."""
    sys.stderr.write(f"note: {message}\n")


class ShardIndex:
    """The index of a store. Nothing is opened or made before there is a folder of shards. Any thread may use it.

    Args:
        store: The store's folder, which may be missing.
        tell: Is told what people should know: that the index was made anew, or that a shard is damaged.

    Attributes:
        in_memory: Whether the file can't be used, so that what is changed here is forgotten with the process.
    """

    def __init__(self, store: Path, *, tell: Callable[[str], None] = to_stderr) -> None:
        self._store, self._file, self._folder = store, store / FILE, store / FOLDER
        self._tell = tell
        self._lock = threading.RLock()
        self._database: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._made_anew = False
        self._looked_at = 0
        self.in_memory = False

    def open(self) -> None:
        """Make the index if there is none. Whoever writes a shard does so before."""
        self._ask(lambda _: None, nothing=None)

    def find(self, kind: str, key: str) -> Place | None:
        """Return where a value stands; None if no shard has it."""
        return self._ask(lambda database: place_of(database, kind, key), nothing=None)

    def held(self, kind: str, keys: Collection[str]) -> set[str]:
        """Return which of some keys are those of values in shards."""
        return self._ask(lambda database: held_keys(database, kind, keys), nothing=set())

    def add(self, name: str) -> None:
        """Note a shard that was written just now."""
        with self._lock:
            if self._database is not None and not self.in_memory and _identity(self._file) != self._opened:
                self.close()  # its file was deleted, and SQLite goes on with it: another one is made, from all shards
            self.again(name)

    def again(self, name: str) -> None:
        """Read a shard's header anew, as if it were not known; where the shard is gone, forget it."""

        def look(database: sqlite3.Connection) -> None:
            stamp = _stamp(shard_path(self._store, name))
            if stamp is None:
                remove_shard(database, name)
            else:
                self._take_in(database, name, stamp)

        self._ask(look, nothing=None)

    def strike(self, kind: str, key: str) -> None:
        """Forget a value, which is damaged, so that it counts as missing: it does as long as its shard is not changed."""

        def forget(database: sqlite3.Connection) -> None:
            place = place_of(database, kind, key)
            if place is not None:
                stamp = _stamp(shard_path(self._store, place.shard))
                if stamp is not None and known_shards(database)[place.shard][1] != stamp:
                    self._take_in(database, place.shard, stamp)  # or it would come back when this is found out later
                remove_value(database, kind, key)

        self._ask(forget, nothing=None)

    def shards(self) -> list[ShardFile]:
        """Return all shards, in the order of their names."""
        known = self._ask(known_shards, nothing=dict[str, tuple[str, Stamp]]())
        return [ShardFile(name=n, kind=kind, bytes=s[0], modified=s[1] / 1e9) for n, (kind, s) in known.items()]

    def of_shard(self, name: str) -> list[Place]:
        """Return the values that are read from a shard: not those that are damaged, or stand in a newer one as well."""
        return self._ask(lambda database: places_of_shard(database, name), nothing=[])

    def counts(self) -> dict[str, int]:
        """Return how many values of each kind there are in shards."""
        return self._ask(value_counts, nothing={})

    def close(self) -> None:
        """Let go of the file. It is opened again when it is needed."""
        with self._lock:
            if self._database is not None:
                self._database.close()
            self._database = None

    def __del__(self) -> None:
        self.close()

    def _ask(self, act: Callable[[sqlite3.Connection], _Answer], *, nothing: _Answer) -> _Answer:
        """Do something with the index, and where that fails, with another one.

        Args:
            act: What is done.
            nothing: The answer where there are no shards.
        """
        with self._lock:
            while True:
                if self._database is None and not os.path.isdir(self._folder):
                    return nothing
                try:
                    return act(self._ready())
                except sqlite3.DatabaseError as error:
                    self._give_up(error)

    def _ready(self) -> sqlite3.Connection:
        """Return the database, opened and brought up to date."""
        if self._database is None:
            # Transactions are begun by hand, and threads take turns.
            self._database = sqlite3.connect(
                ":memory:" if self.in_memory else self._file,
                timeout=_PATIENCE_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            # What a power cut spoils is found out and made anew, and flushing each shard's rows takes longer than the shard.
            self._database.execute("PRAGMA synchronous = OFF")
            is_new = make_tables(self._database)
            self._opened = _identity(self._file)
            added = self._bring_up_to_date(self._database)
            if is_new and added and not self.in_memory:
                self._tell(f"{self._file} was made anew from the headers of {added:,} shard{'s' * (added != 1)}")
        elif self.in_memory and _time(self._folder) != self._looked_at:
            self._bring_up_to_date(self._database)  # others can't tell what they added
        return self._database

    def _give_up(self, error: sqlite3.DatabaseError) -> None:
        """Go over to another index: a new one where the file is damaged, and one in memory where it can't be used."""
        if self.in_memory:
            raise error
        self.close()
        if isinstance(error, sqlite3.OperationalError) or self._made_anew:
            self.in_memory = True
            self._tell(f"{self._file} can't be used ({error}); the headers of shards are read instead")
            return
        self._made_anew = True
        self._tell(f"{self._file} is damaged ({error}) and was removed")
        for file in (self._file, self._file.with_name(f"{FILE}-journal")):
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def _bring_up_to_date(self, database: sqlite3.Connection) -> int:
        """Add shards that are not known or were changed, and forget those that are gone. Return how many were added."""
        # What is known is asked first: what another process notes meanwhile is then found in the folder as well.
        known = {name: stamp for name, (_, stamp) in known_shards(database).items()}
        self._looked_at = _time(self._folder)
        found = self._stamps()
        for name in known:
            # On a network disk the listing may be old. A look at the file is not.
            if name not in found and _stamp(shard_path(self._store, name)) is None:
                remove_shard(database, name)
        fresh = [name for name in found if known.get(name) != found[name]]
        for name in fresh:
            self._take_in(database, name, found[name])
        return len(fresh)

    def _stamps(self) -> dict[str, Stamp]:
        """Return the stamp of each shard's file, by the shard's name."""
        names = list[str]()
        with suppress(FileNotFoundError):
            names = sorted(os.listdir(self._folder))
        stamps = {name[:64]: _stamp(self._folder / name) for name in names if SHARD_FILE.fullmatch(name)}
        return {name: stamp for name, stamp in stamps.items() if stamp is not None}

    def _take_in(self, database: sqlite3.Connection, name: str, stamp: Stamp) -> None:
        """Note a shard with all its values that are there."""
        path, kind, places = shard_path(self._store, name), "", list[Place]()
        try:
            shard = read_shard(path)
        except FileNotFoundError:
            return
        except (ShardError, OSError) as error:
            self._tell(f"{path} can't be read ({error}); its values count as missing")
        else:
            kind, places = shard.kind, [p for p in shard.places if p.start + p.bytes <= stamp[0]]
            if len(places) < len(shard.places):
                self._tell(
                    f"{path} has {stamp[0]:,} bytes where its header says {shard.bytes:,}; "
                    f"{len(shard.places) - len(places):,} of its {len(shard.places):,} values count as missing"
                )
        put_shard(database, name, kind, stamp, places)


def _stamp(path: Path) -> Stamp | None:
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _time(folder: Path) -> int:
    stamp = _stamp(folder)
    return 0 if stamp is None else stamp[1]


def _identity(file: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name."""
    try:
        stat = os.stat(file)
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino
