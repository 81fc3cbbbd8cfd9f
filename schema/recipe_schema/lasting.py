"""Output that may lose its reader: work goes on where `| head` has seen enough, or a terminal is closed."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


class _Lasting:
    """A stream that leads nowhere once it can't be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, or lose it."""
        try:
            return self._stream.write(text)
        except OSError:
            self._lead_nowhere()
            return len(text)

    def flush(self) -> None:
        """Pass on what was written, or lose it."""
        try:
            self._stream.flush()
        except OSError:
            self._lead_nowhere()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lead_nowhere(self) -> None:
        """Let libraries and other processes that write there lose it too."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


def lasting(stream: TextIO) -> TextIO:
    """Return a stream that takes what the given one would, and no error from it."""
    return cast("TextIO", _Lasting(stream))


@contextmanager
def lasting_output() -> Iterator[None]:
    """Let the output of this process go nowhere where it can't be written, in place of an error."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = lasting(sys.stdout), lasting(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
