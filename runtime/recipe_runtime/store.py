"""The content-addressed store of latents, text embeddings and the like.

A value's key is the digest of everything that shapes it, so that a value never changes under its key, runs may
share a store, and a second run finds what the first one made. Nothing is ever removed here.

Small values stand together in shards, which `recipe_schema.shards` describes; `recipe_runtime.store_group` writes them.
A large value has a safetensors file of its own, and so have the small ones of stores that earlier versions wrote.
A value may be compressed, which it states: `recipe_runtime.compressed` says how. A store may hold all of these.
"""

import hashlib
import json
import os
import re
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from recipe_runtime.compressed import LAYOUT, compress, decompress
from recipe_runtime.errors import StoreError
from recipe_schema.canonical import digest
from recipe_schema.files import write_atomically
from recipe_schema.shard_index import ShardIndex, to_stderr
from recipe_schema.shards import Part, Place, ShardError, Value, pack, read_shard, shard_path


Kind = Literal["latents", "masks", "features", "text", "colors"]
"""What a value is: the store has a folder for each."""

_CHECKSUM = "sha256"
_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_KEY = re.compile(r"[0-9a-f]{64}")


def content_key(shapes_the_value: Mapping[str, Any]) -> str:
    """Return the key of a value: the SHA-256, hexadecimal, of everything that shapes it.

    Args:
        shapes_the_value: Names and JSON values.
    """
    return digest(shapes_the_value).removeprefix("sha256:")


class Store:
    """A store in a folder, which is made when the first value is written.

    Args:
        folder: The store's folder. Several processes may use it at once.
        compress: Compress what is written. What is read may be either.
        tell: Is told what people should know of its index and its shards.
    """

    def __init__(self, folder: Path, *, compress: bool = False, tell: Callable[[str], None] = to_stderr) -> None:
        self.folder = folder
        self.compress = compress
        self.index = ShardIndex(folder, tell=tell)

    def path(self, kind: Kind, key: str) -> Path:
        """Return the file of its own that the value of a key has, if it has one."""
        return Path(self._name(kind, key))

    def has(self, kind: Kind, key: str) -> bool:
        """Tell whether the value of a key is there."""
        return not self.missing(kind, (key,))

    def missing(self, kind: Kind, keys: Collection[str]) -> set[str]:
        """Return those of some keys whose values are not there."""
        left = set(keys)
        left -= self.index.held(kind, left)
        return {key for key in left if not os.path.isfile(self._name(kind, key))}

    def _name(self, kind: Kind, key: str) -> str:
        """Return a value's path as text: a run asks for each of a million before it begins, and a `Path` takes longer."""
        assert _KEY.fullmatch(key), f"not a key: {key!r}"
        return f"{self.folder}/{kind}/{key[:2]}/{key}.safetensors"

    def write(self, kind: Kind, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
        """Write a value into a file of its own: all of it or nothing, under a name that says what it is.

        Args:
            kind: What it is.
            key: Its key.
            tensors: The value.
            facts: What made it, for people who look into the file, and for `recipe explain --clip`.

        Raises:
            StoreError: It can't be written.
        """
        ready, metadata = self._prepared(tensors, facts)
        path = self.path(kind, key)
        with _written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, _in_order(save(ready, metadata=metadata)))

    def packed(self, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> Value:
        """Return a value as it goes into a shard. The arguments are those of `write`."""
        ready, metadata = self._prepared(tensors, facts)
        parts = []
        for name, tensor in ready.items():
            content = _content(tensor).tobytes()
            part = Part(name=name, dtype=_NAMES[tensor.dtype], shape=tuple(tensor.shape), bytes=len(content))
            parts.append((part, content))
        return Value(key=key, facts=metadata, parts=parts)

    def write_shard(self, kind: Kind, values: Collection[Value]) -> None:
        """Write values into a shard: all of them or none.

        Args:
            kind: What they are.
            values: What `packed` returned.

        Raises:
            StoreError: It can't be written.
        """
        name, content = pack(kind, values)
        path = shard_path(self.folder, name)
        with _written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.index.open()
            write_atomically(path, content)
        self.index.add(name)

    def read(self, kind: Kind, key: str) -> dict[str, Tensor]:
        """Read a value and verify it. Where it is damaged in a shard, it counts as missing from then on.

        Raises:
            StoreError: It is missing, or not what was written.
        """
        place = self.index.find(kind, key)
        if place is None:
            return read_value(self.path(kind, key))
        path = shard_path(self.folder, place.shard)
        try:
            return read_place(self.folder, place)
        except (FileNotFoundError, StoreError) as error:
            if self._stood_elsewhere(place):
                return self.read(kind, key)
            self.index.strike(kind, key)
            raise StoreError(f"{error}; {self._cure(path)}") from error
        except OSError as error:  # a disk that fails for a moment damages nothing
            raise StoreError(
                f"{path} can't be read: {error}; correct its rights or its disk, and run the same command again"
            ) from error

    def _stood_elsewhere(self, place: Place) -> bool:
        """Compare what the index says of a value with the shard's header, and correct the index where it is wrong."""
        try:
            shard = read_shard(shard_path(self.folder, place.shard))
        except FileNotFoundError:  # `recipe store gc` has written it anew, or someone removed it
            pass
        except (ShardError, OSError):
            return False
        else:
            if place in shard.places:
                return False
        self.index.again(place.shard)
        return self.index.find(place.kind, place.key) != place

    def _cure(self, shard: Path) -> str:
        if self.index.in_memory:
            return f"delete {shard}, and run the same command again, which encodes its values anew"
        return "this value counts as missing now: run the same command again, which encodes it anew"

    def _prepared(
        self, tensors: Mapping[str, Tensor], facts: Mapping[str, str]
    ) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return the tensors of a value as they are written, and what the value says of itself."""
        ready = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
        metadata = {**facts, _CHECKSUM: _checksum(ready)}
        if self.compress:
            ready, metadata[LAYOUT] = compress(ready)
        return ready, metadata


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Tell what to do where a file of a store can't be written.

    Raises:
        StoreError: It can't.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} can't be written: {error.strerror or error}; make room or correct the rights, and run the same command again"
        ) from error


def read_place(store: Path, place: Place) -> dict[str, Tensor]:
    """Read a value from a shard and verify it.

    Raises:
        OSError: The shard can't be read; it may be gone.
        StoreError: The value is not what was written.
    """
    path = shard_path(store, place.shard)
    what = f"{path} is damaged: its value {place.kind} {place.key[:12]}…"
    with path.open("rb", buffering=0) as file:
        file.seek(place.start)
        content = bytearray(file.read(place.bytes))
    if len(content) != place.bytes:
        raise StoreError(f"{what} is cut short")
    try:
        tensors = _tensors(content, place.parts)
        if LAYOUT in place.facts:
            tensors = decompress(tensors, place.facts[LAYOUT])
        stated = place.facts[_CHECKSUM]
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise StoreError(f"{what} can't be read ({error})") from error
    if stated != _checksum(tensors):
        raise StoreError(f"{what} does not match its checksum")
    return tensors


def read_value(path: Path) -> dict[str, Tensor]:
    """Read a file of a store and verify it.

    Raises:
        StoreError: It is missing, or not what was written.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            stated = metadata[_CHECKSUM]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        if LAYOUT in metadata:
            tensors = decompress(tensors, metadata[LAYOUT])
    except FileNotFoundError:
        raise StoreError(
            f"{path} is missing though it was there when the run began; run the same command again"
        ) from None
    except (SafetensorError, KeyError, OSError, ValueError, TypeError, RuntimeError) as error:
        raise StoreError(f"{path} can't be read ({error}); delete this file and run the same command again") from error
    if stated != _checksum(tensors):
        raise StoreError(
            f"{path} is damaged: its content does not match its checksum; delete this file and run the same "
            "command again"
        )
    return tensors


def _tensors(content: bytearray, parts: Collection[Part]) -> dict[str, Tensor]:
    """Return the tensors of a value, which share its bytes."""
    tensors, start = {}, 0
    for part in parts:
        dtype, count = _TYPES[part.dtype], prod(part.shape)
        if count * dtype.itemsize != part.bytes:
            raise ValueError(f"{part.name} has {part.bytes} bytes where its shape has {count * dtype.itemsize}")
        flat = (
            torch.frombuffer(content, dtype=dtype, count=count, offset=start) if count else torch.empty(0, dtype=dtype)
        )
        tensors[part.name] = flat.view(part.shape)
        start += part.bytes
    return tensors


def _in_order(content: bytes) -> bytes:
    """Sort a file's header: safetensors shuffles it anew in each process, and equal values should be equal files."""
    (length,) = struct.unpack_from("<Q", content)
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return b"".join((struct.pack("<Q", len(header)), header, memoryview(content)[8 + length :]))


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """Hash names, types, shapes and bytes of tensors on the CPU."""
    state = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        state.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        state.update(_content(tensor).data)
    return state.hexdigest()


def _content(tensor: Tensor) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Return the bytes of a tensor on the CPU that lies in one piece."""
    content: np.ndarray[Any, np.dtype[np.uint8]] = tensor.reshape(-1).view(torch.uint8).numpy()
    return content
