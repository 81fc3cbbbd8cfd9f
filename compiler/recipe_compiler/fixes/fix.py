"""Fixes a text: one finding after the other, and after each the text is linted anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recipe_compiler.diagnostics.codes import DUPLICATE_KEY, NOT_A_NUMBER, SYNTAX, UNQUOTED_TEMPLATE, UNSUPPORTED
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.fixes.edit import at_span, edited
from recipe_compiler.fixes.move import moved
from recipe_compiler.source import Source
from recipe_schema.definition import generic, leaf_index


MOST = 500
"""So many findings are fixed in one go at most."""

_OF_THE_TEXT = frozenset(c.code for c in (SYNTAX, DUPLICATE_KEY, UNSUPPORTED, UNQUOTED_TEMPLATE, NOT_A_NUMBER))

Lint = Callable[[Source], Sequence[Diagnostic]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """A text after its fixes.

    Attributes:
        source: The text.
        applied: The findings that were cured, in the order in which that was done.
        left: Those that are still there.
    """

    source: Source
    applied: tuple[Diagnostic, ...]
    left: tuple[Diagnostic, ...]


def fix(source: Source, lint: Lint, *, unsafe: bool) -> Fixed:
    """Apply every fix that cures its finding and does no harm to the rest.

    Args:
        source: A recipe.
        lint: Finds what is wrong with a text that stands in its place. Findings about other sources are left alone.
        unsafe: Apply fixes as well that may not be what was meant.
    """
    found, applied = lint(source), list[Diagnostic]()
    refused: set[tuple[str, str, str]] = set()
    while len(applied) < MOST:
        finding = next((d for d in _in_turn(found, source, unsafe=unsafe) if _same(d) not in refused), None)
        if finding is None:
            break
        better = _cured(source, finding)
        found_then = lint(better) if better is not None else ()
        if better is None or not _is_better(finding, found, found_then):
            refused.add(_same(finding))
            continue
        applied.append(finding)
        source, found = better, found_then
        refused.clear()  # what was in the way may be gone
    return Fixed(source=source, applied=tuple(applied), left=tuple(found))


def _in_turn(found: Sequence[Diagnostic], source: Source, *, unsafe: bool) -> list[Diagnostic]:
    """Return the findings with a fix: first what is put right in its place, then what moves, in its later order."""
    here = [d for d in found if d.span.source is source]
    if any(d.code == SYNTAX.code for d in here):
        return []  # what stands behind that place is not known
    rank = {path: index for index, path in enumerate(leaf_index())}
    fixable = [d for d in here if (d.fix is not None or d.move) and (d.safe or unsafe)]
    return sorted(fixable, key=lambda d: rank[generic(d.move)] if d.move else -1)


def _same(finding: Diagnostic) -> tuple[str, str, str]:
    return finding.code, finding.pointer, finding.message


def _cured(source: Source, finding: Diagnostic) -> Source | None:
    if finding.fix is not None:
        return Source(source.name, edited(source.text, [at_span(finding.span, finding.fix)]))
    text = moved(source, finding)
    return Source(source.name, text) if text is not None else None


def _is_better(finding: Diagnostic, before: Sequence[Diagnostic], after: Sequence[Diagnostic]) -> bool:
    """Say whether a finding is gone, and the text as such is no worse."""

    def of_the_text(found: Sequence[Diagnostic]) -> int:
        return sum(d.code in _OF_THE_TEXT for d in found)

    def like_it(found: Sequence[Diagnostic]) -> int:
        return sum(_same(d) == _same(finding) for d in found)

    return like_it(after) < like_it(before) and of_the_text(after) <= of_the_text(before)
