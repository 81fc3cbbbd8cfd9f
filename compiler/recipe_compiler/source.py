"""Source texts and places in them."""

import re
from collections.abc import Iterator
from typing import NamedTuple


_BREAK = "\r\n|[\n\r\x85\u2028\u2029]"
"""What ends a line for libyaml, whose line numbers are used everywhere."""


class Source:
    """A text that a value can come from: a file, or an argument of the command line.

    Attributes:
        name: What people call it: a path as they gave it, or ``--set`` with its number.
        text: The whole text, without a byte order mark.
        lines: The text without line breaks, split the way YAML does.
    """

    __slots__ = ("lines", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.lines = tuple(re.split(_BREAK, text) if _has_odd_breaks(text) else text.split("\n"))

    @property
    def is_file(self) -> bool:
        """It is a file, and no argument of the command line."""
        return not self.name.startswith("--")

    def line_starts(self) -> tuple[int, ...]:
        """Return where in the text each line begins."""
        return (0, *self._ends())

    def _ends(self) -> Iterator[int]:
        if _has_odd_breaks(self.text):
            yield from (match.end() for match in re.finditer(_BREAK, self.text))
            return
        end = 0
        for line in self.lines[:-1]:
            end += len(line) + 1
            yield end


def _has_odd_breaks(text: str) -> bool:
    """Say whether a text has other line breaks than most. To split it otherwise would cost a pattern to be compiled."""
    return any(character in text for character in "\r\x85\u2028\u2029")


class Span(NamedTuple):
    """A stretch of a source. Lines and columns count from 1; the end column is the first one after it."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        """Say the place as ``file:line:column``."""
        return f"{self.source.name}:{self.line}:{self.column}"

    @property
    def text(self) -> str | None:
        """The characters of a stretch within one line; None if it spans several."""
        if self.line != self.end_line or self.line > len(self.source.lines):
            return None
        return self.source.lines[self.line - 1][self.column - 1 : self.end_column - 1]

    def upto(self, end: "Span") -> "Span":
        """Return the stretch from the start of this one to the end of ``end``."""
        return Span(self.source, self.line, self.column, end.end_line, end.end_column)


def start_of(source: Source) -> Span:
    """Return the place for findings about a source as a whole."""
    return Span(source, 1, 1, 1, 1)
