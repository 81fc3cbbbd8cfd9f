"""Suppress: warnings that the recipe says it means, by a comment with a reason."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from recipe_compiler.diagnostics.codes import BAD_SUPPRESSION, CODES, UNUSED_SUPPRESSION
from recipe_compiler.diagnostics.diagnostic import Diagnostic, in_order
from recipe_compiler.rules import ON_DATA, ON_SETTINGS, all_rules
from recipe_compiler.source import Source, Span
from recipe_compiler.suggest import near


if TYPE_CHECKING:  # only a recipe with such a comment needs it
    from recipe_compiler.syntax.suppressions import Suppression


FORM = "# recipe: ignore[CODE] reason"


def suppress(
    found: tuple[Diagnostic, ...], sources: Sequence[Source], asked: Collection[str]
) -> tuple[Diagnostic, ...]:
    """Leave out the warnings that comments silence, and say which comments don't do what they should.

    Args:
        found: All findings.
        sources: Everything that was read.
        asked: The codes of the rules that had a chance to find something.
    """
    asking = [source for source in sources if _may_ask(source)]
    if not asking:
        return found
    # Few recipes silence anything, and what finds comments reads their text once more.
    from recipe_compiler.syntax.suppressions import suppressions  # noqa: PLC0415

    comments = [comment for source in asking for comment in suppressions(source)]
    silenced: set[int] = set()
    about: list[Diagnostic] = []
    for comment in comments:
        about += _apply(comment, found, silenced, asked)
    return in_order((*(d for d in found if id(d) not in silenced), *about), sources)


def _may_ask(source: Source) -> bool:
    """Say whether a comment may ask for something, by a look at the lines alone."""
    asking = (line for line in source.lines if "#" in line and "recipe:" in line)
    return any("[" in line or "ignore" in line for line in asking)


def _apply(
    comment: "Suppression", found: Sequence[Diagnostic], silenced: set[int], asked: Collection[str]
) -> Iterator[Diagnostic]:
    """Silence what one comment names; yield what is wrong with it."""
    if comment.word != "ignore" or not comment.codes:
        advice = f"write `{FORM}`"
        yield BAD_SUPPRESSION.at(comment.span, "this comment silences nothing", help=advice)
        return
    if not comment.reason:
        message, advice = "no warning is silenced without a reason", f"write why it is meant so: `{FORM}`"
        yield BAD_SUPPRESSION.at(comment.span, message, help=advice)
        return
    for code, place in comment.codes:
        yield from _one(code, place, [d for d in found if d.code == code and _is_about(comment, d)], silenced, asked)


def _one(
    code: str, place: Span, there: Sequence[Diagnostic], silenced: set[int], asked: Collection[str]
) -> Iterator[Diagnostic]:
    known = {*CODES, *(rule.code for rule in ON_SETTINGS + ON_DATA)}
    if code not in known:
        names = {rule.name: rule.code for rule in all_rules()}
        meant = names[code] if code in names else near(code, known)
        advice = f"did you mean `{meant}`?" if meant is not None else "the code stands at the start of each finding"
        yield BAD_SUPPRESSION.at(place, f"there is no finding `{code}`", help=advice)
        return
    silenced.update(id(d) for d in there if d.severity == "warning")
    if any(d.severity == "error" for d in there):
        yield BAD_SUPPRESSION.at(place, f"{code} is an error here, and errors can't be silenced", help="cure it")
    elif not there and (code in CODES or code in asked):
        yield UNUSED_SUPPRESSION.at(place, f"there is no {code} to silence at this line", help="remove the comment")


def _is_about(comment: "Suppression", finding: Diagnostic) -> bool:
    """Say whether a finding begins or ends at the line of a comment, or at the one below it."""
    if finding.span.source is not comment.span.source:
        return False
    return bool({finding.span.line, finding.span.end_line} & {comment.span.line, comment.target})
