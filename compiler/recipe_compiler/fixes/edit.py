"""Edits of a text: stretches that are replaced, and nothing around them."""

from collections.abc import Sequence
from dataclasses import dataclass

from recipe_compiler.source import Span


@dataclass(frozen=True, slots=True)
class Edit:
    """A stretch of a text, from the character ``start`` up to ``end``, and what comes in its place."""

    start: int
    end: int
    text: str


def at_span(span: Span, text: str) -> Edit:
    """Replace what a span covers."""
    starts = span.source.line_starts()
    return Edit(starts[span.line - 1] + span.column - 1, starts[span.end_line - 1] + span.end_column - 1, text)


def edited(text: str, edits: Sequence[Edit]) -> str:
    """Apply edits, none of which lies inside another."""
    parts, position = [], 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        assert edit.start >= position
        parts += [text[position : edit.start], edit.text]
        position = edit.end
    return "".join([*parts, text[position:]])
