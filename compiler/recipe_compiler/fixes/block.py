"""Entries of block mappings as lines of text: where they begin and end, and how they look elsewhere."""

from dataclasses import dataclass

from recipe_compiler.source import Source
from recipe_compiler.syntax.tree import Entry


STEP = 2
"""Spaces of a level that a fix adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Whole lines of a source; they count from 1, and ``last`` belongs to them."""

    source: Source
    first: int
    last: int

    def texts(self) -> list[str]:
        """Return the lines without what ends them."""
        return list(self.source.lines[self.first - 1 : self.last])

    @property
    def start(self) -> int:
        """Where the first line begins in the text."""
        return self.source.line_starts()[self.first - 1]

    @property
    def end(self) -> int:
        """Where the line after the last one begins, or the text ends."""
        starts = self.source.line_starts()
        return starts[self.last] if self.last < len(starts) else len(self.source.text)


def lines_of(entry: Entry) -> Lines | None:
    """Return the lines of an entry of a block mapping; None if other things stand on them as well."""
    key = entry.key_span
    lines = Lines(source=key.source, first=key.line, last=last_line(entry))
    before = key.source.lines[key.line - 1][: key.column - 1]
    return lines if not before.strip() and not behind(entry).partition("#")[0].strip() else None


def last_line(entry: Entry) -> int:
    """Return the last line of an entry, without the blank lines behind it."""
    key, span = entry.key_span, entry.node.span
    last = span.end_line - (span.end_column == 1 and span.end_line > span.line)
    while last > key.line and not key.source.lines[last - 1].strip():
        last -= 1
    return last


def behind(entry: Entry) -> str:
    """Return what stands behind a value, on the line that it ends on."""
    span = entry.node.span
    if last_line(entry) != span.end_line:
        return ""
    return span.source.lines[span.end_line - 1][span.end_column - 1 :]


def moved_text(entry: Entry, lines: Lines, name: str, indent: int) -> list[str]:
    """Return the lines of an entry under another name and at another indentation."""
    key = entry.key_span
    first, *rest = lines.texts()
    old = key.column - 1
    shifted = [" " * indent + name + first[key.end_column - 1 :]]
    for line in rest:
        spaces = len(line) - len(line.lstrip(" "))
        shifted.append(" " * max(spaces + indent - old, 0) + line.lstrip(" ") if line.strip() else line)
    return shifted
