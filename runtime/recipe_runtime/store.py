"""The content-addressed store of latents, text embeddings and the like: one safetensors file for each value.

A value's key is the digest of everything that shapes it, so that a value never changes under its key, runs may
share a store, and a second run finds what the first one made. Nothing is ever removed here.

A value may be compressed, which its file states: `recipe_runtime.compressed` says how. A store may hold both.
"""

import hashlib
import json
import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from recipe_runtime.compressed import LAYOUT, compress, decompress
from recipe_runtime.errors import StoreError
from recipe_schema.canonical import digest
from recipe_schema.files import write_atomically


Kind = Literal["latents", "masks", "features", "text", "colors"]
"""What a value is: the store has a folder for each."""

_CHECKSUM = "sha256"
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
    """

    def __init__(self, folder: Path, *, compress: bool = False) -> None:
        self.folder = folder
        self.compress = compress

    def path(self, kind: Kind, key: str) -> Path:
        """Return where the value of a key is kept, whether it is there or not."""
        return Path(self._name(kind, key))

    def has(self, kind: Kind, key: str) -> bool:
        """Tell whether the value of a key is there."""
        return os.path.isfile(self._name(kind, key))

    def _name(self, kind: Kind, key: str) -> str:
        """Return a value's path as text: a run asks for each of a million before it begins, and a `Path` takes longer."""
        assert _KEY.fullmatch(key), f"not a key: {key!r}"
        return f"{self.folder}/{kind}/{key[:2]}/{key}.safetensors"

    def write(self, kind: Kind, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
        """Write a value: all of it or nothing, under a name that says what it is.

        Args:
            kind: What it is.
            key: Its key.
            tensors: The value.
            facts: What made it, for people who look into the file, and for `recipe explain --clip`.

        Raises:
            StoreError: It can't be written.
        """
        ready = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
        metadata = {**facts, _CHECKSUM: _checksum(ready)}
        if self.compress:
            ready, layout = compress(ready)
            metadata[LAYOUT] = layout
        content = _in_order(save(ready, metadata=metadata))
        path = self.path(kind, key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
        except OSError as error:
            raise StoreError(
                f"{path} can't be written: {error}; make room or correct the rights, and run the same command again"
            ) from error

    def read(self, kind: Kind, key: str) -> dict[str, Tensor]:
        """Read a value and verify it.

        Raises:
            StoreError: It is missing, or not what was written.
        """
        return read_value(self.path(kind, key))


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
        state.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()
