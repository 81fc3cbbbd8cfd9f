"""The tables of a store's index of shards, and the questions that are asked of them."""

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

from recipe_schema.shards import Part, Place


Stamp = tuple[int, int]
"""A file's size in bytes, and the time of its modification in ns."""

# Names have the layout's number, so that versions with another one have tables of their own.
_TABLES = (
    "CREATE TABLE IF NOT EXISTS shard_1 (id INTEGER PRIMARY KEY, name TEXT UNIQUE, kind TEXT, bytes INT, mtime INT)",
    "CREATE TABLE IF NOT EXISTS value_1 (kind TEXT, key BLOB, shard INT, start INT, bytes INT, parts TEXT, facts TEXT)",
    "CREATE UNIQUE INDEX IF NOT EXISTS value_1_of_key ON value_1 (key, kind)",
    "CREATE INDEX IF NOT EXISTS value_1_of_shard ON value_1 (shard)",
)
_PLACE = (
    "SELECT value_1.kind, key, name, start, value_1.bytes, parts, facts FROM value_1 JOIN shard_1 ON shard = shard_1.id"
)

_AT_ONCE = 500
"""Keys that are looked for in one question."""


def make_tables(database: sqlite3.Connection) -> bool:
    """Make what is missing. Return whether nothing was there."""
    ((count,),) = database.execute(
        "SELECT count(*) FROM sqlite_master WHERE name IN ('shard_1', 'value_1', 'value_1_of_key', 'value_1_of_shard')"
    )
    if count < len(_TABLES):
        with _transaction(database):
            for statement in _TABLES:
                database.execute(statement)
    return bool(count == 0)


def known_shards(database: sqlite3.Connection) -> dict[str, tuple[str, Stamp]]:
    """Return the kind and the stamp of each shard, by its name."""
    rows = database.execute("SELECT name, kind, bytes, mtime FROM shard_1 ORDER BY name")
    return {name: (kind, (size, modified)) for name, kind, size, modified in rows}


def value_counts(database: sqlite3.Connection) -> dict[str, int]:
    """Return how many values there are of each kind."""
    return dict(database.execute("SELECT kind, count(*) FROM value_1 GROUP BY kind").fetchall())


def place_of(database: sqlite3.Connection, kind: str, key: str) -> Place | None:
    """Return where a value stands; None if no shard has it."""
    found = _places(database, f"{_PLACE} WHERE key = ? AND value_1.kind = ?", (bytes.fromhex(key), kind))
    return next(iter(found), None)


def places_of_shard(database: sqlite3.Connection, name: str) -> list[Place]:
    """Return the values of a shard, in the order in which they stand."""
    return _places(database, f"{_PLACE} WHERE name = ? ORDER BY start", (name,))


def held_keys(database: sqlite3.Connection, kind: str, keys: Collection[str]) -> set[str]:
    """Return which of some keys the tables have."""
    wanted, found = [bytes.fromhex(key) for key in keys], set[str]()
    for first in range(0, len(wanted), _AT_ONCE):
        some = wanted[first : first + _AT_ONCE]
        marks = ",".join("?" * len(some))
        question = f"SELECT key FROM value_1 WHERE kind = ? AND key IN ({marks})"  # noqa: S608 - question marks alone
        found.update(key.hex() for (key,) in database.execute(question, (kind, *some)))
    return found


def put_shard(database: sqlite3.Connection, name: str, kind: str, stamp: Stamp, places: Sequence[Place]) -> None:
    """Note a shard and its values in one transaction. Of a value that stands in several, the newest shard counts."""
    with _transaction(database):
        _remove(database, name)
        shard = database.execute(
            "INSERT INTO shard_1 (name, kind, bytes, mtime) VALUES (?, ?, ?, ?)", (name, kind, *stamp)
        ).lastrowid
        database.executemany(
            "INSERT INTO value_1 (kind, key, shard, start, bytes, parts, facts) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (key, kind) DO UPDATE SET shard = excluded.shard, start = excluded.start,"
            " bytes = excluded.bytes, parts = excluded.parts, facts = excluded.facts"
            " WHERE (SELECT mtime FROM shard_1 WHERE id = value_1.shard) <= ?",
            (
                (kind, bytes.fromhex(p.key), shard, p.start, p.bytes, _parts(p), json.dumps(dict(p.facts)), stamp[1])
                for p in places
            ),
        )


def remove_shard(database: sqlite3.Connection, name: str) -> None:
    """Forget a shard and its values."""
    with _transaction(database):
        _remove(database, name)


def remove_value(database: sqlite3.Connection, kind: str, key: str) -> None:
    """Forget a value."""
    with _transaction(database):
        database.execute("DELETE FROM value_1 WHERE key = ? AND kind = ?", (bytes.fromhex(key), kind))


def _remove(database: sqlite3.Connection, name: str) -> None:
    database.execute("DELETE FROM value_1 WHERE shard IN (SELECT id FROM shard_1 WHERE name = ?)", (name,))
    database.execute("DELETE FROM shard_1 WHERE name = ?", (name,))


def _places(database: sqlite3.Connection, question: str, given: Sequence[object]) -> list[Place]:
    """Ask for values.

    Raises:
        sqlite3.DatabaseError: A row is not one that was written.
    """
    try:
        return [
            Place(
                kind=kind,
                key=key.hex(),
                shard=shard,
                start=start,
                bytes=size,
                parts=tuple(
                    Part(name=name, dtype=dtype, shape=tuple(shape), bytes=length)
                    for name, dtype, shape, length in json.loads(parts)
                ),
                facts=json.loads(facts),
            )
            for kind, key, shard, start, size, parts, facts in database.execute(question, given)
        ]
    except (ValueError, TypeError, AttributeError) as error:
        raise sqlite3.DatabaseError(f"a row can't be read: {error}") from error


def _parts(place: Place) -> str:
    return json.dumps([(part.name, part.dtype, part.shape, part.bytes) for part in place.parts])


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Change several things at once, or none. Others are waited for before the first."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.OperationalError):  # a full disk has done so already
            database.execute("ROLLBACK")
        raise
