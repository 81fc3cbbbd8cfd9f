"""Carries messages to a webhook from a thread of its own, so that nobody else ever waits for it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, Thread

from recipe_runtime.watch.post import Post, Problem, Request
from recipe_schema.events import LEVELS, is_as_important
from recipe_schema.marks import Level


_CAPACITY = 256
"""Messages that wait at most."""

_TRIES = 5
"""How often a message is sent before the next one has its turn."""

_LONGEST_PAUSE_SECONDS = 60.0
"""After a failure follow 1, 2, 4, … seconds, at most these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is to be sent.

    Attributes:
        level: How important it is.
        progress: Whether the next one makes it worthless.
        build: Makes the request. Called in the sending thread: it may read files.
    """

    level: Level
    progress: bool
    build: Callable[[], Request]


class Delivery:
    """A queue of messages and the thread that sends them, in order.

    Args:
        post: Sends one request.
        report: Told of problems in words, each kind once. Called in the sending thread.
        capacity: Messages that wait at most. Where more come, the oldest progress is dropped, then the oldest of what
            is least important; errors never.
        pause_seconds: The first pause after a failure. Each further one is twice as long.
    """

    def __init__(
        self,
        post: Post,
        report: Callable[[str], None],
        *,
        capacity: int = _CAPACITY,
        pause_seconds: float = 1.0,
    ) -> None:
        self._post = post
        self._report = report
        self._capacity = capacity
        self._pause_seconds = pause_seconds
        self._reported: set[str] = set()
        self._waiting: list[Message] = []
        self._changed = Condition()
        self._deadline: float | None = None
        self._failures = 0
        self._dropped = 0
        self._undelivered = 0
        # A daemon: the process must be able to end while the other side holds a connection.
        self._thread = Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def offer(self, message: Message) -> None:
        """Queue a message. This never waits for anyone."""
        with self._changed:
            self._waiting.append(message)
            if len(self._waiting) > self._capacity:
                self._drop_one()
            self._changed.notify()

    def stop(self, seconds: float) -> None:
        """Let what waits be sent, for at most so many seconds from now. Returns at once."""
        with self._changed:
            self._deadline = time.monotonic() + seconds
            self._changed.notify()

    def join(self) -> None:
        """Wait until everything is sent or time is over, and report what was not sent. Comes after `stop`."""
        assert self._deadline is not None, "stop comes first"
        self._thread.join(max(self._deadline - time.monotonic(), 0.0))
        with self._changed:
            # A message that is being sent at this moment may arrive, and counts as one that did not.
            lost, dropped = len(self._waiting) + self._undelivered, self._dropped
        if dropped:
            self._report(f"was slower than the run: dropped {dropped} messages")
        if lost:
            self._report(f"did not take {lost} messages")

    def _drop_one(self) -> None:
        def worth(index: int) -> tuple[bool, int]:
            message = self._waiting[index]
            return not message.progress, -LEVELS.index(message.level)

        # The first one is being sent.
        places = range(1, len(self._waiting))
        droppable = [index for index in places if not is_as_important(self._waiting[index].level, "error")]
        if droppable:
            del self._waiting[min(droppable, key=worth)]
            self._dropped += 1

    def _work(self) -> None:
        while (message := self._next()) is not None and self._send(message):
            with self._changed:
                self._waiting.pop(0)

    def _next(self) -> Message | None:
        """Wait for the next message; None if the run is over and nothing waits, or time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._deadline is not None)
            return self._waiting[0] if self._waiting and not self._is_over() else None

    def _send(self, message: Message) -> bool:
        """Send a message. Return whether it is done with; it is not if time is over before the last try."""
        request = message.build()
        for _ in range(_TRIES):
            problem = self._post(request)
            if problem is None:
                self._failures = 0
                return True
            self._tell(problem)
            if not problem.again:
                break
            self._failures += 1
            if not self._pause(problem):
                return False
        self._undelivered += 1
        return True

    def _pause(self, problem: Problem) -> bool:
        """Wait before another try. Return whether there is time for one."""
        doubled = self._pause_seconds * 2.0 ** min(self._failures - 1, 16)
        seconds = max(min(doubled, _LONGEST_PAUSE_SECONDS), problem.wait_seconds or 0.0)
        until = time.monotonic() + seconds
        with self._changed:
            while (now := time.monotonic()) < until and not self._is_over():
                last = until if self._deadline is None else min(until, self._deadline)
                self._changed.wait(max(last - now, 0.0))
            return not self._is_over()

    def _is_over(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _tell(self, problem: Problem) -> None:
        if problem.kind not in self._reported:
            self._reported.add(problem.kind)
            self._report(problem.text)
