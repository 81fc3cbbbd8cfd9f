"""A finding about a recipe, as data."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from recipe_compiler.source import Source, Span
from recipe_schema.record import record


Severity = Literal["error", "warning"]


class Note(NamedTuple):
    """Another place that belongs to a finding, with what is to be seen there."""

    span: Span
    text: str


@record
class Diagnostic:
    """One finding.

    Attributes:
        code: Its stable code, such as ``R101``.
        name: Its name, such as ``unknown-key``.
        severity: An error keeps a plan from being made.
        message: What was found and what was expected, in one phrase.
        span: Where.
        pointer: The setting, as in ``train.batch_size``; empty when there is none.
        help: What to do.
        fix: The text that belongs in place of the span, where one replacement cures it.
        move: Where the key at the span belongs, as in ``train.batch_size``, if it stands in the wrong section.
        safe: The cure leaves no doubt about what was meant, so that ``--fix`` applies it unasked.
        notes: Other places that belong to it.
    """

    code: str
    name: str
    severity: Severity
    message: str
    span: Span
    pointer: str = ""
    help: str = ""
    fix: str | None = None
    move: str = ""
    safe: bool = False
    notes: tuple[Note, ...] = ()


def in_order(diagnostics: Iterable[Diagnostic], sources: Sequence[Source]) -> tuple[Diagnostic, ...]:
    """Sort by source (in the order in which they were read), place and code, and drop repeated findings."""
    rank = {source: index for index, source in enumerate(sources)}
    unique = {(d.code, str(d.span), d.message): d for d in diagnostics}

    def key(d: Diagnostic) -> tuple[int, str, int, int, str]:
        return rank.get(d.span.source, len(rank)), d.span.source.name, d.span.line, d.span.column, d.code

    return tuple(sorted(unique.values(), key=key))


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Say whether one of them is an error."""
    return any(d.severity == "error" for d in diagnostics)
