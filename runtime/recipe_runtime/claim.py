"""Who works on what, among processes that fill one store: a file where the file of the value would stand.

A claim saves work and guards nothing: files and shards are written under another name and renamed, so two processes
that make the same value do no harm. Whoever holds a claim touches its file every few seconds. It is taken over when
its holder is a process of this machine that is gone, or when nobody touched it for a minute. That minute is counted by
whoever waits, since the clocks of two machines and of their disk may differ.
"""

import json
import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from recipe_runtime.errors import StoreError


BEAT_SECONDS = 5.0
"""A claim is touched this often."""

STALE_SECONDS = 60.0
"""A claim that nobody touched for so long is taken over."""


class Claims:
    """The claims of this process. Close it to let go of all.

    Args:
        beat_seconds: Time between two touches.
        stale_seconds: Time without a touch after which another's claim is taken over.
    """

    def __init__(self, *, beat_seconds: float = BEAT_SECONDS, stale_seconds: float = STALE_SECONDS) -> None:
        self._beat, self._stale = beat_seconds, stale_seconds
        self._own = json.dumps({"machine": _machine(), "process": os.getpid(), "mark": secrets.token_hex(8)}).encode()
        self._held: set[Path] = set()
        self._seen: dict[Path, tuple[int, float]] = {}
        self._closing = threading.Event()
        self._heart: threading.Thread | None = None

    def take(self, path: Path) -> bool:
        """Claim what a file stands for.

        Args:
            path: The claim's file.

        Returns:
            Whether it is ours now; False while another process works on it.

        Raises:
            StoreError: The file can't be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self._make(path) and not self._take_over(path):
                return False
        except OSError as error:
            raise StoreError(
                f"{path} can't be written: {error}; make room or correct the rights, and run the same command again"
            ) from error
        self._held.add(path)
        if self._heart is None:
            self._heart = threading.Thread(target=self._keep_alive, name="claims", daemon=True)
            self._heart.start()
        return True

    def release(self, path: Path) -> None:
        """Let go of a claim, unless another process took it over meanwhile."""
        self._held.discard(path)
        with suppress(OSError):
            if path.read_bytes() == self._own:
                path.unlink()

    def close(self) -> None:
        """Let go of all claims."""
        self._closing.set()
        if self._heart is not None:
            self._heart.join()
        for path in tuple(self._held):
            self.release(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make(self, path: Path) -> bool:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        try:
            os.write(handle, self._own)
        finally:
            os.close(handle)
        return True

    def _take_over(self, path: Path) -> bool:
        """Take a claim that nobody holds any more, unless another process is faster."""
        with suppress(FileNotFoundError):  # it was let go just now
            touched, content = path.stat().st_mtime_ns, path.read_bytes()
            if not _is_gone(content) and not self._is_still(path, touched):
                return False
            if path.read_bytes() != content:
                return False
            path.unlink()
        return self._make(path)

    def _is_still(self, path: Path, touched: int) -> bool:
        """Tell whether a claim has not been touched for long, by our own clock."""
        now = time.monotonic()
        before, since = self._seen.get(path, (touched, now))
        if before != touched:
            since = now
        self._seen[path] = (touched, since)
        return now - since >= self._stale

    def _keep_alive(self) -> None:
        while not self._closing.wait(self._beat):
            for path in tuple(self._held):
                with suppress(OSError):  # another process took it over, or the disk hangs: it is a courtesy
                    os.utime(path)


def _machine() -> str:
    """Name the machine, and inside a container its own numbering of processes."""
    try:
        numbering = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbering = ""
    return f"{socket.gethostname()} {numbering}"


def _is_gone(content: bytes) -> bool:
    """Tell whether a claim's holder is a process of this machine that has ended."""
    try:
        holder = json.loads(content)
        machine, process = holder["machine"], holder["process"]
    except (ValueError, KeyError, TypeError):  # it is being written
        return False
    if machine != _machine() or not isinstance(process, int):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it lives, and is another user's
        return False
    return False
