"""Checksums of files that a checkpoint consists of."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def hashed(files: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of each file."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_hash, files))


def flushed_and_hashed(files: Sequence[Path]) -> list[str]:
    """Bring files to the disk, and return the SHA-256 of each."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_flush_and_hash, files))


def _flush_and_hash(file: Path) -> str:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return _hash(file)


def _hash(file: Path) -> str:
    state = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(2**24):
            state.update(block)
    return state.hexdigest()
