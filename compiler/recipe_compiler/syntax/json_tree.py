"""JSON text to tree: each key and value with its place.

YAML reads most of JSON, and not all: characters beyond U+FFFF that are written as two escapes are no YAML, and a comma too
many is no JSON.
"""

import json
import re
from bisect import bisect_right
from typing import Any, NoReturn

from recipe_compiler.diagnostics.codes import DUPLICATE_KEY, NOT_A_NUMBER, SYNTAX
from recipe_compiler.diagnostics.diagnostic import Diagnostic, Note
from recipe_compiler.source import Source, Span, start_of
from recipe_compiler.syntax.errors import NumberError
from recipe_compiler.syntax.scalars import plain_value
from recipe_compiler.syntax.tree import BadNode, Entry, ListNode, MapNode, Node, ScalarNode


_SPACE = re.compile(r"[ \t\n\r]*")
_HALF = re.compile("[\ud800-\udfff]")
_DECODER = json.JSONDecoder(parse_int=float)  # integers of any length; they are shown as written


def parse_json(source: Source, *, deep: bool = False) -> tuple[Node | None, list[Diagnostic]]:
    """Read one JSON value.

    Args:
        source: The text.
        deep: Keep what is nested inside the outermost object, and read numbers as recipes do.

    Returns:
        The tree (None if there is none to speak of), and what was found.
    """
    reader = _Reader(source, deep=deep)
    try:
        return reader.whole(), reader.found
    except json.JSONDecodeError as error:
        position = min(error.pos, len(source.text.rstrip()))
        message = f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:].removesuffix(' at')}"
        advice = "check quotes, commas and brackets near here"
        return None, [SYNTAX.at(reader.span(position, position + 1), message, help=advice)]
    except RecursionError:
        return None, [SYNTAX.at(start_of(source), "values are nested too deep", help="flatten the file")]


class _Reader:
    """Reads values and remembers where they stand."""

    def __init__(self, source: Source, *, deep: bool) -> None:
        self.source = source
        self._deep = deep
        self.found: list[Diagnostic] = []
        self._starts = source.line_starts()

    def whole(self) -> Node:
        """Read the whole text.

        Raises:
            json.JSONDecodeError: It is not JSON.
        """
        start = self._after_space(0)
        node, end = self._object(start) if self._at(start) == "{" else self._value(start)
        rest = self._after_space(end)
        if rest != len(self.source.text):
            self._refuse("Something follows the value", rest)
        return node

    def span(self, start: int, end: int) -> Span:
        """Return the place of the characters from one position up to another."""
        return Span(self.source, *self._place(start), *self._place(end))

    def _object(self, start: int) -> tuple[MapNode, int]:
        entries: dict[str, Entry] = {}
        position = self._after_space(start + 1)
        more = self._at(position) != "}"
        while more:
            position = self._after_space(self._member(position, entries))
            more = self._at(position) == ","
            if more:
                position = self._after_space(position + 1)
            elif self._at(position) != "}":
                self._refuse("Expecting ',' or '}'", position)
        return MapNode(entries=entries, span=self.span(start, position + 1)), position + 1

    def _member(self, start: int, entries: dict[str, Entry]) -> int:
        """Read a name and its value; return where they end."""
        if self._at(start) != '"':
            self._refuse("Expecting a name in double quotes", start)
        name, end = self._decoded(start)
        colon = self._after_space(end)
        if self._at(colon) != ":":
            self._refuse("Expecting ':' after a name", colon)
        node, after = self._value(self._after_space(colon + 1))
        span = self.span(start, end)
        if name in entries:
            first = Note(entries[name].key_span, "first given here")
            advice = "keep one of them"
            self.found.append(DUPLICATE_KEY.at(span, f"`{name}` is given twice", help=advice, notes=(first,)))
        elif self._has_half(name, span):
            entries[_HALF.sub("?", name)] = Entry(key_span=span, node=BadNode(span=span))
        else:
            entries[name] = Entry(key_span=span, node=node)
        return after

    def _list(self, start: int) -> tuple[ListNode, int]:
        items: list[Node] = []
        position = self._after_space(start + 1)
        more = self._at(position) != "]"
        while more:
            node, end = self._value(position)
            items.append(node)
            position = self._after_space(end)
            more = self._at(position) == ","
            if more:
                position = self._after_space(position + 1)
            elif self._at(position) != "]":
                self._refuse("Expecting ',' or ']'", position)
        return ListNode(items=tuple(items), span=self.span(start, position + 1)), position + 1

    def _value(self, start: int) -> tuple[Node, int]:
        if self._deep and self._at(start) in ("{", "["):
            return self._object(start) if self._at(start) == "{" else self._list(start)
        value, end = self._decoded(start)
        span = self.span(start, end)
        if isinstance(value, dict):
            return MapNode(entries={}, span=span), end
        if isinstance(value, list):
            return ListNode(items=(), span=span), end
        if isinstance(value, str):
            bad = self._has_half(value, span)
            return BadNode(span=span) if bad else ScalarNode(value=value, raw=value, plain=False, span=span), end
        return self._scalar(value, span, self.source.text[start:end]), end

    def _scalar(self, value: Any, span: Span, raw: str) -> Node:
        if not self._deep:
            return ScalarNode(value=value, raw=raw, plain=True, span=span)
        try:
            return ScalarNode(value=plain_value(raw), raw=raw, plain=True, span=span)
        except NumberError as error:
            self.found.append(NOT_A_NUMBER.at(span, str(error), help="write a finite number"))
            return BadNode(span=span)

    def _has_half(self, text: str, span: Span) -> bool:
        """Report a text with half of a character, which no file can hold."""
        half = _HALF.search(text)
        if half is not None:
            message = f"the escape \\u{ord(half[0]):04x} is half of a character"
            self.found.append(SYNTAX.at(span, message, help="write the character itself, or both halves"))
        return half is not None

    def _decoded(self, start: int) -> tuple[Any, int]:
        return _DECODER.raw_decode(self.source.text, start)

    def _after_space(self, position: int) -> int:
        match = _SPACE.match(self.source.text, position)
        assert match is not None, "no space is space too"
        return match.end()

    def _at(self, position: int) -> str:
        return self.source.text[position : position + 1]

    def _place(self, position: int) -> tuple[int, int]:
        line = bisect_right(self._starts, position)
        return line, position - self._starts[line - 1] + 1

    def _refuse(self, problem: str, position: int) -> NoReturn:
        raise json.JSONDecodeError(problem, self.source.text, position)
