"""Puts small values into a store by the group: one shard, flushed once, in place of a file and a flush for each."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from torch import Tensor

from recipe_runtime.errors import StoreError
from recipe_runtime.store import Kind, Store
from recipe_schema.shards import Value


LARGE_BYTES = 1_000_000
"""A value of so many bytes has a file of its own: from here on, shards were measured to gain nothing."""

GROUP_VALUES = 1024
"""A group is written when it has so many values. Their claims are touched every few seconds until then."""

GROUP_BYTES = 64_000_000
"""A group is written when it has so many bytes, which wait in memory."""

GROUP_SECONDS = 30.0
"""A group is written when its first value is so old: a kill loses no more than this, and the value at work."""


class Group:
    """Values of one kind that are put into a store together. They are there when `commit` returns.

    A group commits itself when it is large or old enough, and when it is left, whatever for.

    Args:
        store: The store.
        kind: What they are.
        committed: Called after values were put into the store.
    """

    def __init__(self, store: Store, kind: Kind, *, committed: Callable[[], None] = lambda: None) -> None:
        self._store, self._kind, self._committed = store, kind, committed
        self._values: dict[str, Value] = {}
        self._bytes = 0
        self._since = 0.0

    def add(self, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
        """Add a value. A large one is in the store at once.

        Args:
            key: Its key.
            tensors: The value. It may be changed afterwards.
            facts: What made it.

        Raises:
            StoreError: Something can't be written.
        """
        if sum(tensor.nbytes for tensor in tensors.values()) >= LARGE_BYTES:
            self._store.write(self._kind, key, tensors, facts)
            return
        value = self._store.packed(key, tensors, facts)
        if not self._values:
            self._since = time.monotonic()
        self._values[key] = value
        self._bytes += value.bytes + sum(map(len, value.facts.values()))
        if (
            len(self._values) >= GROUP_VALUES
            or self._bytes >= GROUP_BYTES
            or time.monotonic() - self._since >= GROUP_SECONDS
        ):
            self.commit()

    def __contains__(self, key: str) -> bool:
        """Tell whether a value waits to be put into the store."""
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def commit(self) -> None:
        """Put what waits into the store.

        Raises:
            StoreError: It can't be written. It still waits.
        """
        if self._values:
            self._store.write_shard(self._kind, self._values.values())
            self._values.clear()
            self._bytes = 0
        self._committed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.commit()
            return
        with suppress(StoreError):  # what failed first is what counts
            self.commit()
