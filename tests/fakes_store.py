"""What tests ask of a store, whichever files its values are in, and what they do to it."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from recipe_runtime.keeping.listing import stored_files
from recipe_runtime.store import Kind, Store
from recipe_schema.shard_index import ShardIndex
from recipe_schema.shards import FOLDER, shard_path
from recipe_schema.stored import read_facts


def stored_values(folder: Path) -> dict[tuple[str, str], Mapping[str, str]]:
    """Return what each value says of itself, its checksum included, by kind and key."""
    index = ShardIndex(folder)
    found = {(p.kind, p.key): p.facts for shard in index.shards() for p in index.of_shard(shard.name)}
    files = [file for file in stored_files(folder) if file.key] if folder.is_dir() else []
    return found | {(file.kind, file.key): read_facts(file.path) or {} for file in files}


def shard_files(folder: Path) -> list[Path]:
    """Return the files of a store's shards."""
    return sorted((folder / FOLDER).glob("*.safetensors"))


def damage_value(store: Store, kind: Kind, key: str) -> Path:
    """Flip the last bit of a value. Return its file."""
    place = store.index.find(kind, key)
    path = store.path(kind, key) if place is None else shard_path(store.folder, place.shard)
    last = path.stat().st_size - 1 if place is None else place.start + place.bytes - 1
    with path.open("r+b") as file:
        file.seek(last)
        (byte,) = file.read(1)
        file.seek(last)
        file.write(bytes([byte ^ 1]))
    return path


def lose_value(store: Store, kind: Kind, key: str) -> None:
    """Let a value be missing."""
    store.index.strike(kind, key)
    store.path(kind, key).unlink(missing_ok=True)


def replace_value(store: Store, kind: Kind, key: str, tensors: Mapping[str, Tensor]) -> None:
    """Put another value under a key, which the store itself never does."""
    lose_value(store, kind, key)
    store.write(kind, key, tensors, {})


def as_files(store: Store, folder: Path) -> Store:
    """Write all values of a store into another one as earlier versions did: each into a file of its own."""
    other = Store(folder, compress=store.compress)
    for kind, key in stored_values(store.folder):
        facts = {name: fact for name, fact in stored_values(store.folder)[kind, key].items() if name != "zstd"}
        other.write(kind, key, store.read(kind, key), facts)  # type: ignore[arg-type]  # a kind
    return other
