"""Reads everything that a store holds."""

import sys
from pathlib import Path

from recipe_runtime.errors import StoreError
from recipe_runtime.keeping.listing import in_bytes, stored_files
from recipe_runtime.store import read_value
from recipe_schema.exits import Exit


def verify(store: Path) -> int:
    """Read every value and compare it with its checksum. Each damaged file is named on stdout.

    Returns:
        An exit code: 1 if there are damaged files.
    """
    count = size = damaged = 0
    for file in stored_files(store):
        if not file.key:
            continue
        try:
            read_value(file.path)
        except StoreError as error:
            damaged += 1
            sys.stdout.write(f"{error}\n")
            sys.stdout.flush()
        count, size = count + 1, size + file.bytes
    sys.stdout.write(f"{count:,} values, {in_bytes(size)}: {f'{damaged:,} damaged' if damaged else 'all whole'}\n")
    return Exit.FINDINGS if damaged else Exit.OK
