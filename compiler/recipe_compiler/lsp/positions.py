"""Places of a text as editors count them: lines from 0, and columns in the units that were agreed on."""

import re
from bisect import bisect_right

from lsprotocol.types import Position, Range

from recipe_compiler.source import Source, Span


_BREAK = re.compile("\r\n|\n|\r")
_WIDTHS = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
_UNIT = {"utf-8": 1, "utf-16": 2, "utf-32": 4}


class Positions:
    """Turns places of a text into those of an editor, and back. Both split lines by rules of their own.

    Args:
        source: The text.
        encoding: What a column counts: ``utf-8``, ``utf-16`` or ``utf-32``.
    """

    def __init__(self, source: Source, encoding: str) -> None:
        self.source = source
        self._encoding = encoding
        self._starts = [0, *(match.end() for match in _BREAK.finditer(source.text))]
        self._own = source.line_starts()

    def range(self, span: Span) -> Range:
        """Return a stretch of the text."""
        return Range(
            start=self.position(self._own[span.line - 1] + span.column - 1),
            end=self.position(self._own[span.end_line - 1] + span.end_column - 1),
        )

    def position(self, offset: int) -> Position:
        """Return the place of a character, counted from the start of the text."""
        line = bisect_right(self._starts, offset) - 1
        before = self.source.text[self._starts[line] : offset]
        return Position(line=line, character=len(before.encode(_WIDTHS[self._encoding])) // _UNIT[self._encoding])

    def offset(self, position: Position) -> int:
        """Return the character at a place. One behind the end of a line is that end."""
        if position.line >= len(self._starts):
            return len(self.source.text)
        start = self._starts[position.line]
        line = _BREAK.split(self.source.text[start:], maxsplit=1)[0]
        units = line.encode(_WIDTHS[self._encoding])[: position.character * _UNIT[self._encoding]]
        return start + len(units.decode(_WIDTHS[self._encoding], errors="ignore"))

    def whole(self) -> Range:
        """Return all of the text."""
        return Range(start=Position(line=0, character=0), end=self.position(len(self.source.text)))
