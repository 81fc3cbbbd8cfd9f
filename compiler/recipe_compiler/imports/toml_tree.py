"""TOML text to tree. The standard library reads it; the lines of keys are looked up in the text."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from recipe_compiler.diagnostics.codes import SYNTAX
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.source import Source, Span
from recipe_compiler.syntax.tree import Entry, ListNode, MapNode, Node, Path, ScalarNode


_TABLE = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def parse_toml(source: Source) -> tuple[Node | None, list[Diagnostic]]:
    """Read one TOML document.

    Returns:
        The tree (None if the text is no TOML), and what was found.
    """
    try:
        values = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        where = _WHERE.search(str(error))
        last = len(source.lines)
        line, column = (int(where[1]), int(where[2])) if where is not None and where[1] else (last, 1)
        message = f"this is not TOML: {_WHERE.sub('', str(error))}"
        span = Span(source, line, column, line, column + 1)
        return None, [SYNTAX.at(span, message, help="check quotes, brackets and signs near here")]
    start = Span(source, 1, 1, 1, 1)
    return _node(values, (), dict(_places(source)), start), []


def _places(source: Source) -> Iterator[tuple[Path, Span]]:
    """Yield the path and place of every key that begins a line, and of every table."""
    table: Path = ()
    counts: dict[Path, int] = {}
    for number, line in enumerate(source.lines, 1):
        header, key = _TABLE.match(line), _KEY.match(line)
        if key is not None:
            path = table + _names(key[1])
            start = line.index(key[1]) + 1
            yield path, Span(source, number, start, number, start + len(key[1]))
        elif header is not None:
            table = _names(header[2])
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield table, Span(source, number, 1, number, len(line) + 1)


def _names(text: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in text.split("."))


def _node(value: Any, path: Path, places: dict[Path, Span], above: Span) -> Node:
    span = places.get(path, above)
    if isinstance(value, dict):
        entries = {}
        for name, child in value.items():
            node = _node(child, (*path, name), places, span)
            entries[name] = Entry(key_span=node.span, node=node)
        return MapNode(entries=entries, span=span)
    if isinstance(value, list):
        items = tuple(_node(child, (*path, index), places, span) for index, child in enumerate(value))
        return ListNode(items=items, span=span)
    scalar = value if isinstance(value, bool | int | float | str) else str(value)  # dates are texts
    return ScalarNode(value=scalar, raw=str(value), plain=True, span=span)
