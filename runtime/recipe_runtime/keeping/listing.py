"""What a store holds, from names, sizes and times of files, and the index of its shards."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from recipe_schema.shard_index import ShardIndex
from recipe_schema.shards import FOLDER


_VALUE = re.compile(r"([0-9a-f]{64})\.safetensors")
_LEFTOVER = re.compile(r"\.[0-9a-f]{64}\.([0-9a-f]{8}|claim)")
_FOLDER = re.compile(r"[0-9a-f]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file that the store has written, other than shards and their index.

    Attributes:
        path: The file.
        kind: Its folder, as in ``latents``.
        key: The value's key; empty for a claim or a half-written file, which a process that was killed leaves behind.
        bytes: Its size.
        modified: When it was written, in seconds since 1970.
    """

    path: Path
    kind: str
    key: str
    bytes: int
    modified: float


def stored_files(store: Path) -> Iterator[StoredFile]:
    """Yield every file below a store that has a place and a name that the store gives. Others are not looked at.

    Links are not followed, and not counted: the store makes none.
    """
    for kind in _folders(store):
        if kind.name == FOLDER:
            yield from (file for file in _files(kind, FOLDER) if not file.key)
        for folder in _folders(kind):
            if _FOLDER.fullmatch(folder.name):
                yield from _files(folder, kind.name)


def listed(store: Path) -> str:
    """Describe a store: for each kind of value how many there are, their size, and the oldest and newest."""
    index, leftovers = ShardIndex(store), list[StoredFile]()
    counts, files = Counter(index.counts()), list[tuple[str, int, float]]()
    shards = index.shards()
    for file in stored_files(store):
        if file.key:
            counts[file.kind] += 1
            files.append((file.kind, file.bytes, file.modified))
        else:
            leftovers.append(file)
    every = [*files, *((shard.kind, shard.bytes, shard.modified) for shard in shards)]
    lines = [f"{'kind':<12}{'values':>10}{'size':>12}  {'oldest':<18}newest"]
    lines += [_line(kind, counts[kind], [one for one in every if one[0] == kind]) for kind in sorted(counts)]
    if not counts:
        lines = [f"{store} holds no values"]
    if shards:
        lines.append(
            f"in {len(shards):,} shard{'s' * (len(shards) != 1)} and {len(files):,} file{'s' * (len(files) != 1)} of one value"
        )
    if leftovers:
        size = in_bytes(sum(file.bytes for file in leftovers))
        lines.append(f"{len(leftovers):,} file{'s' * (len(leftovers) != 1)} of encoding under way or killed, {size}")
    return "\n".join(lines) + "\n"


def in_bytes(count: int) -> str:
    """Write a number of bytes for people."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def _line(kind: str, count: int, files: Sequence[tuple[str, int, float]]) -> str:
    size = in_bytes(sum(size for _, size, _ in files))
    oldest, newest = (pick(modified for _, _, modified in files) for pick in (min, max))
    return f"{kind:<12}{count:>10,}{size:>12}  {_day(oldest):<18}{_day(newest)}"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())


def _files(folder: Path, kind: str) -> Iterator[StoredFile]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        value = _VALUE.fullmatch(entry.name)
        key = value[1] if value is not None else ""
        known = key.startswith(folder.name) if key else _LEFTOVER.fullmatch(entry.name) is not None
        stat = _stat(entry) if known else None
        if stat is not None:
            path = folder / entry.name
            yield StoredFile(path=path, kind=kind, key=key, bytes=stat.st_size, modified=stat.st_mtime)


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Look at a file; None for what is none, or was renamed or removed meanwhile by a process at work."""
    try:
        return entry.stat(follow_symlinks=False) if entry.is_file(follow_symlinks=False) else None
    except FileNotFoundError:
        return None
