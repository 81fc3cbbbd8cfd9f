"""Shares what is to be encoded among processes, on one machine or several, that fill one store."""

import re
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from torch import Tensor

from recipe_runtime.claim import Claims
from recipe_runtime.stage import StageReport
from recipe_runtime.store import Kind, Store
from recipe_runtime.store_group import Group


_POLL_SECONDS = 0.5
"""How often someone who waits for others looks again."""

_WORKER = re.compile(r"(\d{1,6})/(\d{1,6})")

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Which of several processes this is.

    Attributes:
        number: From 1.
        of: How many there are.
    """

    number: int = 1
    of: int = 1


ALONE = Worker()
"""A process that was not told of others. It shares with them all the same."""


def read_worker(text: str) -> Worker:
    """Read a worker's number, as in ``2/4``.

    Raises:
        ValueError: It is none.
    """
    match = _WORKER.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"`{text}` is no worker: write its number and how many there are, as in 1/4")
    return Worker(number=int(match[1]), of=int(match[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Generic[Item]):
    """Something to encode at once.

    Attributes:
        item: What it is.
        keys: The keys of the values that come of it, and how many things of the stage have each of them. The first is
            claimed.
    """

    item: Item
    keys: Mapping[str, int]


class EncodeQueue(Generic[Item]):
    """What is left to encode: the worker's own share first, then what others have not begun.

    Small values go into the store by the group. Their claims are held until the group is there.

    Args:
        store: Where values go.
        kind: What they are.
        missing: Keys that the store had not when the stage began.
        work: Everything, in the same order in every process.
        worker: Which of them this is.
        report: Is told what others have finished.
    """

    def __init__(
        self,
        store: Store,
        kind: Kind,
        *,
        missing: frozenset[str],
        work: Sequence[Work[Item]],
        worker: Worker,
        report: StageReport,
    ) -> None:
        own = [one for index, one in enumerate(work) if index % worker.of == worker.number - 1]
        others = [one for index, one in enumerate(work) if index % worker.of != worker.number - 1]
        self._left = deque(one for one in (*own, *others) if not missing.isdisjoint(one.keys))
        self._busy: deque[Work[Item]] = deque()
        self._store, self._kind, self._missing, self._report = store, kind, missing, report
        self._claims = Claims()
        self._group = Group(store, kind, committed=self._let_go)
        self._encoded: list[Path] = []

    def take(self, *, wait: bool) -> Work[Item] | None:
        """Return the next thing to encode, which no other process works on.

        Args:
            wait: Where others work on all that is left, wait until they are done, or gone.

        Returns:
            None if everything is in the store, or without ``wait`` is being worked on.

        Raises:
            StoppedBySignal: Someone asked the run to stop.
            StoreError: The store can't be written.
        """
        while True:
            while self._left:
                one = self._left.popleft()
                if self._is_ours(one):
                    return one
            if not self._busy or not wait:
                return None
            self._group.commit()  # others may wait for it likewise
            self._report.stop_if_asked()
            time.sleep(_POLL_SECONDS)
            self._left, self._busy = self._busy, deque()

    def fresh(self, one: Work[Item]) -> list[str]:
        """Return the keys that neither the store has yet nor what goes there with the next group."""
        waiting = {key for key in one.keys if key not in self._group}
        missing = self._store.missing(self._kind, waiting)
        return [key for key in one.keys if key in missing]

    def write(self, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
        """Put a value into the store, with others where it is small.

        Raises:
            StoreError: The store can't be written.
        """
        self._group.add(key, tensors, facts)

    def done(self, one: Work[Item]) -> None:
        """Count something that is encoded, and let go of it as soon as its values are in the store.

        Raises:
            StoppedBySignal: Someone asked the run to stop.
        """
        self._encoded.append(self._claim(one))
        if not self._group:
            self._let_go()
        self._report.finish(self._count(one))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._group.__exit__(kind, error, trace)
        finally:
            self._claims.close()

    def _let_go(self) -> None:
        for claim in self._encoded:
            self._claims.release(claim)
        self._encoded.clear()

    def _is_ours(self, one: Work[Item]) -> bool:
        """Claim something that is not encoded yet."""
        if not self.fresh(one):
            self._report.finish(self._count(one))
            return False
        if not self._claims.take(self._claim(one)):
            self._busy.append(one)
            return False
        if self.fresh(one):
            return True
        # Its maker finished between our two looks.
        self.done(one)
        return False

    def _count(self, one: Work[Item]) -> int:
        return sum(count for key, count in one.keys.items() if key in self._missing)

    def _claim(self, one: Work[Item]) -> Path:
        return claim_path(self._store.path(self._kind, next(iter(one.keys))))


def claim_path(value: Path) -> Path:
    """Return where the claim of a value stands."""
    return value.with_name(f".{value.stem}.claim")
