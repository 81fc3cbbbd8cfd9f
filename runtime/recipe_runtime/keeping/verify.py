"""Reads everything that a store holds."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from recipe_runtime.errors import StoreError
from recipe_runtime.keeping.listing import in_bytes, stored_files
from recipe_runtime.store import read_place, read_value
from recipe_schema.exits import Exit
from recipe_schema.shard_index import ShardIndex
from recipe_schema.shards import FOLDER, SHARD_FILE, ShardError, read_shard


def verify(store: Path) -> int:
    """Read every value and compare it with its checksum. What is damaged is named on stdout.

    Values that are damaged in a shard count as missing from then on.

    Returns:
        An exit code: 1 if something is damaged.
    """
    count = size = damaged = 0
    for found, problem in chain(_files(store), _shards(store)):
        count, size = count + 1, size + found
        if problem:
            damaged += 1
            sys.stdout.write(f"{problem}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{count:,} values, {in_bytes(size)}: {f'{damaged:,} damaged' if damaged else 'all whole'}\n")
    return Exit.FINDINGS if damaged else Exit.OK


def _files(store: Path) -> Iterator[tuple[int, str]]:
    """Yield the size of each value's own file, and what is wrong with it; empty if nothing is."""
    for file in stored_files(store):
        if file.key:
            problem = ""
            try:
                read_value(file.path)
            except StoreError as error:
                problem = str(error)
            yield file.bytes, problem


def _shards(store: Path) -> Iterator[tuple[int, str]]:
    """Yield the same of each value in a shard; a shard that can't be read counts as one."""
    names = list[str]()
    with suppress(FileNotFoundError):
        names = sorted(name for name in os.listdir(store / FOLDER) if SHARD_FILE.fullmatch(name))
    index = ShardIndex(store)
    for name in names:
        path = store / FOLDER / name
        try:
            yield from _values(store, index, path)
        except FileNotFoundError:  # `recipe store gc` is at work
            continue
        except (ShardError, OSError) as error:
            yield 0, f"{path} can't be read ({error}); delete this file: the next run encodes its values anew"


def _values(store: Path, index: ShardIndex, path: Path) -> Iterator[tuple[int, str]]:
    """Yield the same of each value of a shard, but for those that a newer shard has as well: these are read from there.

    Raises:
        ShardError: It can't be read.
        OSError: Likewise.
    """
    shard = read_shard(path)
    current = {place.key for place in index.of_shard(path.stem)}
    newer = index.held(shard.kind, [place.key for place in shard.places if place.key not in current])
    for place in shard.places:
        if place.key in newer:
            continue
        problem = ""
        try:
            read_place(store, place)
        except StoreError as error:
            index.strike(place.kind, place.key)
            cure = "delete this file" if index.in_memory else "it counts as missing now"
            problem = f"{error}; {cure}, and the next run that needs it encodes it anew"
        except FileNotFoundError:
            return
        except OSError as error:
            problem = f"{path} can't be read: {error}; correct its rights or its disk"
        yield place.bytes, problem
