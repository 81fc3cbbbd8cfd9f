"""Shards without torch: values of a few bytes."""

import hashlib
from pathlib import Path

from recipe_schema.shard_index import ShardIndex
from recipe_schema.shards import Part, Value, pack, shard_path


def some_key(number: int) -> str:
    """Return the key of the value of a number."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def some_value(number: int, **facts: str) -> Value:
    """Return a value of two tensors."""
    parts = [
        (Part(name="flag", dtype="BOOL", shape=(3,), bytes=3), bytes([number % 2] * 3)),
        (Part(name="x", dtype="F32", shape=(2,), bytes=8), number.to_bytes(8, "little")),
    ]
    return Value(key=some_key(number), facts={"text": f"number {number}", **facts}, parts=parts)


def write_shard(store: Path, kind: str, *numbers: int, index: ShardIndex | None = None, **facts: str) -> Path:
    """Write a shard, and note it in an index if one is given."""
    name, content = pack(kind, [some_value(number, **facts) for number in numbers])
    path = shard_path(store, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if index is not None:
        index.open()
    path.write_bytes(content)
    if index is not None:
        index.add(name)
    return path
