"""What stands at a place of a recipe: from the tree where there is one, and from indents while a line is being typed."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from recipe_compiler.source import Source, Span
from recipe_compiler.syntax.tree import MapNode, Path, ScalarNode, walk
from recipe_compiler.syntax.yaml_tree import parse_yaml


class At(NamedTuple):
    """What stands at a place.

    Attributes:
        path: The setting, elements of lists as numbers.
        span: The key or the value that the place lies in.
        value: The value, if the place lies in a scalar.
    """

    path: Path
    span: Span
    value: ScalarNode | None


def at_offset(source: Source, offset: int) -> At | None:
    """Return the key or value at a character; None where there is neither, or no YAML."""
    root, _ = parse_yaml(source)
    if not isinstance(root, MapNode):
        return None
    starts = source.line_starts()

    def within(span: Span) -> bool:
        start, end = starts[span.line - 1] + span.column - 1, starts[span.end_line - 1] + span.end_column - 1
        return start <= offset <= end

    for path, place in walk(root):
        if path and place.key_span is not None and within(place.key_span):
            return At(path, place.key_span, None)
        if isinstance(place.node, ScalarNode) and within(place.node.span):
            return At(path, place.node.span, place.node)
    return None


class Typing(NamedTuple):
    """A line that is being typed.

    Attributes:
        above: The keys that hold it, an element of a list as ``*``.
        key: The key of the line; None while that is being typed.
        begun: What was typed so far of the key or the value.
        indent: Spaces before the key.
        siblings: Keys that the same mapping has on other lines.
    """

    above: tuple[str, ...]
    key: str | None
    begun: str
    indent: int
    siblings: frozenset[str]


class _Line(NamedTuple):
    """A line by its indents.

    Attributes:
        dashes: Where each dash of a list stands.
        column: Where what follows begins.
        key: Its key; None if it has none.
    """

    dashes: tuple[int, ...]
    column: int
    key: str | None


_KEY = re.compile(r"""["']?([\w+.-]+)["']?\s*:(?:\s|$)""")
_VALUE = re.compile(r"""["']?([\w+.-]+)["']?\s*:\s+(.*)\Z""")


def typing(lines: Sequence[str], line: int, column: int) -> Typing:
    """Read what is being typed from indents alone: the text need not be YAML yet.

    Args:
        lines: The text.
        line: The line of the cursor, from 0.
        column: Its characters up to the cursor.
    """
    here = _read(lines[line][:column]) or _Line((), column, None)
    body = lines[line][here.column : column]
    value = _VALUE.match(body)
    above, siblings = _above(lines, line, here)
    if value is not None:
        return Typing(above, value[1], value[2], here.column, siblings)
    return Typing(above, None, body, here.column, siblings)


def _read(line: str) -> _Line | None:
    """Read a line; None for one that is empty or a comment."""
    body = line.lstrip(" ")
    if not body or body.startswith("#"):
        return None
    column, dashes = len(line) - len(body), []
    while (rest := line[column:]).startswith("- ") or rest == "-":
        dashes.append(column)
        column += 1 + max(len(rest[1:]) - len(rest[1:].lstrip(" ")), 1)
    match = _KEY.match(line[column:])
    return _Line(tuple(dashes), column, match[1] if match is not None else None)


def _above(lines: Sequence[str], line: int, here: _Line) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the keys that hold a line, and those beside it."""
    path: list[str] = []
    siblings: set[str] = set()
    limit, in_list = here.column, False
    for dash in reversed(here.dashes):
        path.append("*")
        limit, in_list = dash, True
    begins = here.column
    for number in range(line - 1, -1, -1):
        read = _read(lines[number])
        if read is None:
            continue
        if read.key is not None and read.column == begins and not path:
            siblings.add(read.key)
        if read.dashes and read.column == limit and not in_list:
            path.append("*")
            limit, in_list = read.dashes[-1], True
        elif read.key is not None and (read.column < limit or (in_list and not read.dashes and read.column == limit)):
            path.append(read.key)
            limit, in_list = read.column, False
            for dash in reversed(read.dashes):
                path.append("*")
                limit, in_list = dash, True
    siblings |= _below(lines, line, begins)
    return tuple(reversed(path)), frozenset(siblings)


def _below(lines: Sequence[str], line: int, begins: int) -> set[str]:
    """Return the keys of the same mapping on lines below."""
    found = set()
    for text in lines[line + 1 :]:
        read = _read(text)
        if read is None:
            continue
        if read.column < begins or (read.dashes and read.dashes[0] < begins):
            break
        if read.column == begins and read.key is not None:
            found.add(read.key)
    return found
