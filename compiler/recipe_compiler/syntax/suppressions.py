"""Comments that silence a warning at its line: ``# recipe: ignore[R601] why``.

Comments are no part of the tree, so they are looked for in the text: a ``#`` outside of every scalar begins one.
"""

import re
from bisect import bisect
from collections.abc import Iterator, Sequence

from recipe_compiler.source import Source, Span
from recipe_compiler.syntax.yaml_tree import scalar_spans
from recipe_schema.record import record


_DIRECTIVE = r"recipe:\s*(?:(?P<word>[\w-]+)\s*(?P<codes>\[[^\]]*\]?)(?P<reason>.*)|ignore\s*(?:R\d.*)?$)"
_HEADER = r"[|>][-+0-9]*(?=\s|$)"


@record
class Suppression:
    """One such comment, as it is written; whether it is right is not looked at here.

    Attributes:
        span: The comment, from its ``#`` on.
        target: The line that it is about: its own, or the next one with content if it stands alone.
        word: What is asked for: ``ignore``, or what somebody wrote instead.
        codes: The codes in brackets, each with its place; None without brackets.
        reason: The text behind them.
    """

    span: Span
    target: int
    word: str
    codes: tuple[tuple[str, Span], ...] | None
    reason: str


def suppressions(source: Source) -> Iterator[Suppression]:
    """Find the comments of a source that ask for something."""
    if not source.is_file or not any("recipe:" in line.partition("#")[2] for line in source.lines):
        return
    scalars = scalar_spans(source)
    for line, column in _comments(source, scalars) if scalars is not None else ():
        text = source.lines[line - 1][column - 1 :]
        match = re.match(_DIRECTIVE, text.lstrip("#").strip())
        if match is None:
            continue
        span = Span(source, line, column, line, column + len(text.rstrip()))
        alone = not source.lines[line - 1][: column - 1].strip()
        codes = match["codes"]
        yield Suppression(
            span=span,
            target=_next_content(source, line) if alone else line,
            word=match["word"] or "ignore",
            codes=None if codes is None or not codes.endswith("]") else tuple(_codes(span, text)),
            reason=(match["reason"] or "").strip(" :-–—"),
        )


def _codes(span: Span, text: str) -> Iterator[tuple[str, Span]]:
    start = text.index("[") + 1
    for match in re.finditer(r"[^,\s]+", text[start : text.index("]")]):
        column = span.column + start + match.start()
        yield match[0], Span(span.source, span.line, column, span.line, column + len(match[0]))


def _next_content(source: Source, line: int) -> int:
    """Return the next line that holds more than a comment; the comment's own if there is none."""
    later = range(line + 1, len(source.lines) + 1)
    return next((n for n in later if source.lines[n - 1].strip() and source.lines[n - 1].lstrip()[0] != "#"), line)


def _comments(source: Source, scalars: Sequence[Span]) -> Iterator[tuple[int, int]]:
    """Yield line and column of every ``#`` that begins a comment."""
    inside: dict[int, list[tuple[int, int]]] = {}  # by line, the columns that scalars take up, in order
    for span in scalars:
        for line in range(span.line, span.end_line + 1):
            start = span.column if line == span.line else 1
            end = span.end_column if line == span.end_line else len(source.lines[line - 1]) + 1
            if line == span.line != span.end_line and (header := _header(source, span)):
                end = start + header  # behind the `|` of a block there may be a comment
            inside.setdefault(line, []).append((start, end))
    for number, text in enumerate(source.lines, 1):
        for match in re.finditer(r"(?:^|(?<=\s))#", text):
            column = match.start() + 1
            taken = inside.get(number, [])
            before = bisect(taken, (column, len(text) + 1))
            if not before or taken[before - 1][1] <= column:
                yield number, column
                break


def _header(source: Source, span: Span) -> int:
    match = re.match(_HEADER, source.lines[span.line - 1][span.column - 1 :])
    return match.end() if match is not None else 0
