"""Shows a run on stderr: bars on a terminal, plain lines elsewhere. Everything comes from events."""

import sys
from types import TracebackType
from typing import Protocol, Self, TextIO

from recipe_runtime.console_live import LiveView
from recipe_runtime.console_plain import PlainView
from recipe_schema.events import Event


class View(Protocol):
    """One way to show events."""

    def show(self, event: Event) -> None:
        """Show an event."""

    def close(self) -> None:
        """Leave the terminal in order."""


class Console:
    """Listens to events and shows them.

    Args:
        stream: Where to; None for stderr.
        verbose: Write a line for each step, on a terminal too.
    """

    def __init__(self, stream: TextIO | None = None, *, verbose: bool = False) -> None:
        stream = sys.stderr if stream is None else stream
        live = stream.isatty() and not verbose
        self._view: View = LiveView(stream) if live else PlainView(stream, every=verbose)

    def __call__(self, event: Event) -> None:
        """Show an event."""
        self._view.show(event)

    def close(self) -> None:
        """Leave the terminal in order. More than once is fine."""
        self._view.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
