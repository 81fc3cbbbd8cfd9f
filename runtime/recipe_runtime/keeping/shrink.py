"""Removes from shards what nobody needs: a shard of which nothing is needed goes, one of which little is is written anew."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipe_runtime.errors import StoreError
from recipe_runtime.store import Kind, Store
from recipe_schema.shard_index import ShardFile, ShardIndex
from recipe_schema.shards import Place, ShardError, Value, read_shard, shard_path


_FULL = 0.75
"""A shard of which less than this part is needed is written anew."""

_NAMED = 250
"""Bytes that the header has for a value, besides its facts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What of a shard is needed.

    Attributes:
        name: The shard's name.
        kind: What its values are.
        bytes: The size of its file.
        needed: Its values that are needed.
        spare: Those that are not.
        goes: Whether it is removed, after what is needed was written anew.
        freed: Bytes that this gives back, about.
    """

    name: str
    kind: Kind
    bytes: int
    needed: Sequence[Place]
    spare: Sequence[Place]
    goes: bool
    freed: int


def shares(store: Path, needed: Mapping[Kind, Collection[str]]) -> list[Share]:
    """Return what is needed of each shard of a kind that this version knows.

    Args:
        store: The store.
        needed: The keys that are needed, of each kind.
    """
    kinds = {str(kind): kind for kind in needed}
    index = ShardIndex(store)
    return [
        _share(store, shard, kinds[shard.kind], index.of_shard(shard.name), needed[kinds[shard.kind]])
        for shard in index.shards()
        if shard.kind in kinds
    ]


def clear_shards(store: Store, shards: Sequence[Share]) -> None:
    """Remove the shards that go. What is needed of them is in the store all the time.

    Args:
        store: The store.
        shards: All shards.

    Raises:
        StoreError: One can't be written or removed.
    """
    going = [shard for shard in shards if shard.goes]
    for shard in sorted(going, key=lambda shard: bool(shard.needed)):  # to write anew, there has to be room
        path = shard_path(store.folder, shard.name)
        try:
            if shard.needed:
                store.write_shard(shard.kind, [_value(store, place) for place in shard.needed])
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{path} can't be read or removed: {error}; correct its rights, and run the same command again"
            ) from error
        store.index.again(shard.name)


def _share(store: Path, shard: ShardFile, kind: Kind, places: Sequence[Place], keys: Collection[str]) -> Share:
    wanted = [place for place in places if place.key in keys]
    size = sum(map(_size, wanted))
    goes = not wanted or (size < _FULL * shard.bytes and _has_more(shard_path(store, shard.name), wanted))
    return Share(
        name=shard.name,
        kind=kind,
        bytes=shard.bytes,
        needed=wanted,
        spare=[place for place in places if place.key not in keys],
        goes=goes,
        freed=max(0, shard.bytes - size) if goes else 0,
    )


def _has_more(path: Path, wanted: Sequence[Place]) -> bool:
    """Tell whether a shard holds something else: what is not needed, damaged, or in a newer shard as well."""
    try:
        return len(wanted) < len(read_shard(path).places)
    except (ShardError, OSError):
        return False


def _size(place: Place) -> int:
    """Return the bytes that a value takes in its shard, about."""
    return place.bytes + _NAMED + sum(len(name) + len(fact) for name, fact in place.facts.items())


def _value(store: Store, place: Place) -> Value:
    """Return a value as it stands in a shard, with the checksum that it states.

    Raises:
        StoreError: It is not there.
        OSError: It can't be read.
    """
    path = shard_path(store.folder, place.shard)
    with path.open("rb") as file:
        file.seek(place.start)
        content = file.read(place.bytes)
    if len(content) < place.bytes:
        raise StoreError(f"{path} was cut short; run `recipe store verify {store.folder}`, and then the same command")
    parts, start = [], 0
    for part in place.parts:
        parts.append((part, content[start : start + part.bytes]))
        start += part.bytes
    return Value(key=place.key, facts=place.facts, parts=parts)
