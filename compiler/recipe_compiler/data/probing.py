"""Asks about many video files at once, in processes that a damaged file can't take the survey down with."""

import atexit
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from recipe_compiler.data.probe import Probe


WORKERS = min(8, os.cpu_count() or 1)

COMMAND = (sys.executable, "-m", "recipe_compiler.data.worker")

PATIENCE_SECONDS = 60.0
"""How long a file may keep a process busy, besides the time to read it."""

_SLOWEST_DISK = 10e6
"""Bytes a second."""


Answer = Mapping[str, Any]
"""What a process says of a file; ``{"problem": …}`` where it says nothing."""


def probe_each(
    files: Sequence[Path], *, workers: int = WORKERS, patience: float = PATIENCE_SECONDS
) -> Iterator[tuple[Path, Probe]]:
    """Yield the probe of each file, in the order in which they are done.

    Args:
        files: Absolute paths.
        workers: Processes at most.
        patience: Seconds after which a file that gives no answer is given up, besides the time to read it.
    """
    with closing(ask_each([(file, str(file)) for file in files], workers=workers, patience=patience)) as answers:
        for number, answer in answers:
            yield files[number], _probe_of(answer)


def _probe_of(answer: Answer) -> Probe:
    try:
        return Probe(**answer)
    except TypeError as error:
        return Probe(problem=f"could not be looked at: {error}")


def ask_each(
    questions: Sequence[tuple[Path, Any]], *, workers: int = WORKERS, patience: float = PATIENCE_SECONDS
) -> Generator[tuple[int, Answer], None, None]:
    """Yield the number of each question and its answer, in the order in which they are done.

    Args:
        questions: Each with the file that it is about, and as `recipe_compiler.data.worker` wants it.
        workers: Processes at most.
        patience: Seconds after which a file that gives no answer is given up, besides the time to read it.
    """
    waiting: queue.SimpleQueue[tuple[int, Path, Any]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Answer]] = queue.SimpleQueue()
    for number, (file, question) in enumerate(questions):
        waiting.put((number, file, question))
    hands = [_Hand(waiting, done, patience) for _ in range(min(workers, len(questions)))]
    try:
        for hand in hands:
            hand.start()
        for _ in questions:
            yield done.get()
    except BaseException:  # whoever asked wants no more of it
        for hand in hands:
            hand.stop()
        raise
    for hand in hands:
        hand.join()


_IDLE: "list[_Child]" = []
"""Processes that wait for the next survey: to start one takes longer than to look at a clip."""


def _free_child() -> "_Child":
    """Return a process that waits, or a new one."""
    while _IDLE:
        child = _IDLE.pop()
        if child.lives():
            return child
        child.end()
    return _Child()


@atexit.register
def _end_idle() -> None:
    while _IDLE:
        _IDLE.pop().end()


class _Hand(threading.Thread):
    """Hands one file after the other to a process of its own, and starts another one where that dies."""

    def __init__(
        self,
        waiting: "queue.SimpleQueue[tuple[int, Path, Any]]",
        done: "queue.SimpleQueue[tuple[int, Answer]]",
        patience: float,
    ) -> None:
        super().__init__(daemon=True)
        self._waiting = waiting
        self._done = done
        self._patience = patience
        self._child: _Child | None = None
        self._stopped = False

    def run(self) -> None:
        """Work until nothing waits."""
        while not self._stopped:
            try:
                number, file, question = self._waiting.get_nowait()
            except queue.Empty:
                break
            try:
                self._done.put((number, self._ask(file, question)))
            except Exception as error:  # noqa: BLE001 - whoever waits for the answer must not wait for ever
                self._done.put((number, {"problem": f"could not be looked at: {error}"}))
        if self._child is not None and not self._stopped:
            _IDLE.append(self._child)
            self._child = None

    def stop(self) -> None:
        """Stop, in whatever the process is doing."""
        self._stopped = True
        child = self._child
        if child is not None:
            self._drop(child)

    def _drop(self, child: "_Child") -> None:
        child.end()
        self._child = None

    def _ask(self, file: Path, question: Any) -> Answer:
        child = self._child = self._child or _free_child()
        limit = self._patience + _size(file) / _SLOWEST_DISK
        try:
            answer = child.ask(question, limit)
        except queue.Empty:
            self._drop(child)
            return {"problem": f"gives no answer within {limit:.0f} s"}
        if answer is None:
            how = child.how_it_ended()
            self._drop(child)
            return {"problem": f"crashes the video library ({how})"}
        return dict(json.loads(answer))


class _Child:
    """A process that answers, see `recipe_compiler.data.worker`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            # An interrupt from the keyboard is for the survey alone, which then ends this process.
            start_new_session=True,
        )
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, question: Any, limit: float) -> str | None:
        """Return the answer to a question; None if the process dies of it.

        Raises:
            queue.Empty: There is none after ``limit`` seconds.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, OSError):
            return None
        return self._answers.get(timeout=limit)

    def lives(self) -> bool:
        """Say whether the process is there to be asked."""
        return self._process.poll() is None

    def how_it_ended(self) -> str:
        """Say what the process died of."""
        code = self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in filter(None, (self._process.stdin, self._process.stdout)):
            with suppress(OSError):
                pipe.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
