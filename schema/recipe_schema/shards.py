"""Shards of the store: safetensors files that hold many values of one kind, each with its facts and its checksum.

The tensors of a value are called ``KEY/NAME`` and stand together, so that a value is read at once. The metadata have the
``kind`` and, under each key, what the value says of itself, as JSON. A shard is written once and never changed. Its
name is the digest of its header, which holds the checksums of its values: equal values in one shard are equal files.
"""

import hashlib
import json
import re
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any


FOLDER = "shards"
"""The folder of shards, in the store's folder."""

SHARD_FILE = re.compile(r"([0-9a-f]{64})\.safetensors")
"""The name of a shard's file."""

MAX_HEADER = 100_000_000
"""Bytes of a header that is believed, as safetensors itself has it. Ours have a few hundred a value."""

NOTED = 2000
"""Bytes that a value takes besides its tensors, from above: its facts in a header, and its row of the index."""

_KEY = re.compile(r"[0-9a-f]{64}")
_START = 8
"""A header begins with its length, in so many bytes."""

_KIND = "kind"


class ShardError(Exception):
    """A shard is not one. The message says what is wrong with it, without its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A tensor of a value.

    Attributes:
        name: Its name.
        dtype: Its type, as safetensors calls it: ``F32``.
        shape: Its shape.
        bytes: Its size.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands, and what it says of itself.

    Attributes:
        kind: What it is, as in ``text``.
        key: Its key.
        shard: The shard's name.
        start: Where its first byte is in the file.
        bytes: The size of all its tensors, which follow each other.
        parts: Its tensors, in the order in which they stand.
        facts: Its facts, its checksum and, if it is compressed, how: what a file of its own has as metadata.
    """

    kind: str
    key: str
    shard: str
    start: int
    bytes: int
    parts: tuple[Part, ...]
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value that goes into a shard.

    Attributes:
        key: Its key.
        facts: See `Place`.
        parts: Its tensors, and the bytes of each.
    """

    key: str
    facts: Mapping[str, str]
    parts: Sequence[tuple[Part, bytes]]

    @property
    def bytes(self) -> int:
        """The size of all its tensors."""
        return sum(part.bytes for part, _ in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """What a shard's header says.

    Attributes:
        kind: What its values are.
        bytes: The size that the file should have.
        places: Where its values stand.
    """

    kind: str
    bytes: int
    places: tuple[Place, ...]


def shard_path(store: Path, name: str) -> Path:
    """Return the file of a shard."""
    return store / FOLDER / f"{name}.safetensors"


def pack(kind: str, values: Collection[Value]) -> tuple[str, bytes]:
    """Put values into a shard. The order in which they are given does not matter.

    Args:
        kind: What they are.
        values: At least one.

    Returns:
        The shard's name, and the content of its file.
    """
    # Types of more bytes first: where all values have one type, every tensor begins at a multiple of its size.
    ordered = sorted(values, key=lambda value: (-min(map(_width, value.parts)), value.key))
    told = {value.key: json.dumps(dict(value.facts), sort_keys=True) for value in ordered}
    header: dict[str, Any] = {"__metadata__": {_KIND: kind, **told}}
    end, contents = 0, list[bytes]()
    for value in ordered:
        for part, content in sorted(value.parts, key=lambda one: (-_width(one), one[0].name)):
            start, end = end, end + len(content)
            entry = {"dtype": part.dtype, "shape": part.shape, "data_offsets": (start, end)}
            header[f"{value.key}/{part.name}"] = entry
            contents.append(content)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return hashlib.sha256(text).hexdigest(), b"".join((struct.pack("<Q", len(text)), text, *contents))


def read_shard(path: Path) -> Shard:
    """Read what a shard holds, from its header alone.

    Raises:
        ShardError: It is not a shard.
        OSError: It can't be read.
    """
    header, length = read_header(path, MAX_HEADER)
    if header is None:
        raise ShardError("its header can't be read")
    try:
        metadata = header.pop("__metadata__")
        kind = str(metadata.pop(_KIND))
        found = {key: list[tuple[int, int, Part]]() for key in metadata}
        for name, entry in header.items():
            key, _, name_in_value = name.partition("/")
            begin, end = map(int, entry["data_offsets"])
            shape = tuple(map(int, entry["shape"]))
            part = Part(name=name_in_value, dtype=str(entry["dtype"]), shape=shape, bytes=end - begin)
            found[key].append((begin, end, part))
        places = tuple(_place(kind, key, path.stem, _START + length, found[key], metadata[key]) for key in metadata)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShardError(f"its header is not that of a shard ({type(error).__name__}: {error})") from error
    size = max((place.start + place.bytes for place in places), default=_START + length)
    return Shard(kind=kind, bytes=size, places=places)


def read_header(path: Path, most: int) -> tuple[dict[str, Any] | None, int]:
    """Read the header of a safetensors file.

    Args:
        path: The file.
        most: Bytes of a header that is believed.

    Returns:
        The header, or None if it is none, and its length in bytes.

    Raises:
        OSError: The file can't be read.
    """
    with path.open("rb") as file:
        start = file.read(_START)
        if len(start) < _START:
            return None, 0
        (length,) = struct.unpack("<Q", start)
        if length > most:
            return None, 0
        content = file.read(length)
    try:
        header = json.loads(content)
    except ValueError:
        return None, 0
    return (header, length) if isinstance(header, dict) else (None, 0)


def _width(one: "tuple[Part, bytes]") -> int:
    """Return the bytes of one number of a tensor; 8 if it has none."""
    part, content = one
    count = 1
    for length in part.shape:
        count *= length
    return len(content) // count if count else _START


def _place(kind: str, key: str, shard: str, base: int, found: list[tuple[int, int, Part]], facts: str) -> Place:
    """Put the tensors of a value together.

    Raises:
        ValueError: Its key is none, or they do not follow each other, or there are none.
    """
    found.sort(key=lambda one: one[:2])
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key} is no key")
    if not found or any(one[1] != other[0] for one, other in pairwise(found)):
        raise ValueError(f"the tensors of {key} do not stand together")
    told = {str(name): str(fact) for name, fact in json.loads(facts).items()}
    begin, end = found[0][0], found[-1][1]
    parts = tuple(part for _, _, part in found)
    return Place(kind=kind, key=key, shard=shard, start=base + begin, bytes=end - begin, parts=parts, facts=told)
