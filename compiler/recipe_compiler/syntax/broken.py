"""What is wrong where a text is no YAML: libyaml says where it stopped, which is often behind the mistake.

Each function looks for one slip that people make, and returns None if it is not that one.
"""

import re
from collections.abc import Callable

from recipe_compiler.source import Source, Span
from recipe_schema.record import record


@record
class Stop:
    """Where reading stopped.

    Attributes:
        problem: libyaml's words for it.
        context: Its words for what it was reading; empty if it says nothing.
        at: Where it stopped.
        began: Where what it was reading begins.
    """

    problem: str
    context: str
    at: Span
    began: Span


@record
class Slip:
    """A mistake: what is wrong, where, and what to do."""

    message: str
    span: Span
    help: str


_QUOTES = "put quotes around the value"
_KEY = r"[A-Za-z_][\w.+-]*"
_NO_SPACE = re.compile(rf"\s*(?:- +)*({_KEY}):([^\s:/\\].*)\Z")
_WIDE_COLON = re.compile(rf"\s*(?:- +)*({_KEY})\s*(\N{{FULLWIDTH COLON}})\s*(.*)\Z")
_EQUALS = re.compile(rf"\s*(?:- +)*({_KEY})\s*(=)\s*(.*)\Z")
_DASH = re.compile(rf"\s*(-)({_KEY}:(?:\s.*)?)\Z")
_COMPLETE = re.compile(rf"(\s*(?:- +)*){_KEY}:\s+[^\s#|>&\[{{].*\Z")
_PAIR = re.compile(rf"( *)(?:- +)*{_KEY}:(?:\s|\Z)")
_MISSING = {"did not find expected ',' or ']'": ("]", "list"), "did not find expected ',' or '}'": ("}", "mapping")}


def slip(stop: Stop) -> Slip:
    """Say what is wrong where reading stopped, as well as can be told."""
    for look in _LOOKS:
        found = look(stop)
        if found is not None:
            return found
    return Slip(message=stop.problem, span=stop.at, help="check quotes, brackets and indentation near here")


def missing_space(span: Span) -> str | None:
    """Return ``key: value`` for a text that is ``key:value`` and begins its line; None for any other."""
    before = span.source.lines[span.line - 1][: span.column - 1].strip()
    match = _NO_SPACE.match(span.text or "") if before in ("", "-") else None
    return f"{match[1]}: {match[2]}" if match is not None else None


def _unclosed(stop: Stop) -> Slip | None:
    if "end of stream" not in stop.problem or not stop.context:
        return None
    what = stop.context.removeprefix("while scanning ").removeprefix("while parsing ")
    return Slip(message=f"{what} has no end", span=stop.began, help="check quotes, brackets and indentation near here")


def _first_character(stop: Stop) -> Slip | None:
    if "cannot start any token" not in stop.problem:
        return None
    if stop.at.text == "\t":
        return Slip(message="a tab is no indentation in YAML", span=stop.at, help="indent by spaces")
    shown = "a backtick" if stop.at.text == "`" else f"`{stop.at.text}`"
    return Slip(message=f"a value can't begin with {shown}", span=stop.at, help=_QUOTES)


def _alias(stop: Stop) -> Slip | None:
    if stop.context not in ("while scanning an alias", "while scanning an anchor"):
        return None
    sign, thing = ("*", "an alias") if "alias" in stop.context else ("&", "an anchor")
    return Slip(message=f"`{sign}` begins {thing} here", span=stop.began, help=f"{_QUOTES}, if it is a text")


def _escape(stop: Stop) -> Slip | None:
    if "quoted scalar" not in stop.context or not any(word in stop.problem for word in ("escape", "hexdec")):
        return None
    line = stop.at.source.lines[stop.at.line - 1]
    column = line.rfind("\\", 0, stop.at.column) + 1
    shown = line[column - 1 : column + 1]
    advice = "take single quotes, in which a backslash is a backslash, or `/` in a path"
    span = Span(stop.at.source, stop.at.line, column, stop.at.line, column + len(shown))
    return Slip(message=f"`{shown}` is no escape that YAML knows in double quotes", span=span, help=advice)


def _behind_the_value(stop: Stop) -> Slip | None:
    """Find a value in quotes or brackets that goes on behind them."""
    if stop.problem not in ("did not find expected key", "did not find expected <document start>"):
        return None
    before = stop.at.source.lines[stop.at.line - 1][: stop.at.column - 1].rstrip()
    value = re.match(rf"\s*(?:- +)*(?:{_KEY}:\s+|- +)(\S.*)\Z", before)
    if value is None or value[1][0] not in "'\"[{":
        return None
    message = "the value ends before this"
    if value[1][0] == "'":
        return Slip(
            message=message, span=stop.at, help="write an apostrophe as `''`, or take double quotes around the text"
        )
    if value[1][0] == '"':
        advice = 'put quotes around the whole text, and write `\\"` for those in it'
        return Slip(message=message, span=stop.at, help=advice)
    return Slip(message=message, span=stop.at, help="put quotes around the whole, if it is a text")


def _indented_unlike(stop: Stop) -> Slip | None:
    """Find a line that is indented like none of those that it could belong to."""
    if stop.problem != "did not find expected key":
        return None
    before = stop.at.source.lines[stop.at.line - 1][: stop.at.column - 1]
    if before.strip():
        return None
    above = _above(stop.at)
    nearly = _in_line(stop.at.source, above) if above else None
    if nearly is not None:
        return nearly
    spaces = f"{len(before)} space{'s' * (len(before) != 1)}"
    message = f"this line is indented by {spaces}, unlike those that it could belong to"
    return Slip(message=message, span=stop.at, help="indent it like its neighbours")


def _unclosed_before(stop: Stop) -> Slip | None:
    if stop.problem not in _MISSING:
        return None
    sign, thing = _MISSING[stop.problem]
    there = f" that begins in line {stop.began.line}" if stop.began.line != stop.at.line else ""
    advice = f"close the {thing}{there}, or put a comma between two of its values"
    return Slip(message=f"a `,` or `{sign}` is missing before this", span=stop.at, help=advice)


def _colon(stop: Stop) -> Slip | None:
    """Find why a colon gives no value: mostly the line above was read as a text that goes on."""
    if "mapping values are not allowed" not in stop.problem:
        return None
    source, number, above = stop.at.source, stop.at.line, _above(stop.at)
    for at in (above, number):
        found = _in_line(source, at) if at else None
        if found is not None:
            return found
    if above and (found := _deeper(source, above, number)) is not None:
        return found
    advice = "put quotes around a text that holds `: `, or check the indentation"
    return Slip(message="a `:` is not allowed here", span=stop.at, help=advice)


def _above(span: Span) -> int:
    """Return the line before a place that says something; 0 if there is none."""
    above = span.line - 1
    while above and not span.source.lines[above - 1].partition("#")[0].strip():
        above -= 1
    return above


def _in_line(source: Source, number: int) -> Slip | None:
    """Find a line that is nearly a key with its value."""
    line = re.sub(r"\s+#.*\Z", "", source.lines[number - 1])

    def place(column: int, length: int = 1) -> Span:
        return Span(source, number, column, number, column + length)

    odd = next((at for at, character in enumerate(line) if character != " "), None)
    if odd is not None and line[odd] != "\t" and not line[odd].isprintable():
        message = f"this line begins with the character U+{ord(line[odd]):04X}, which is no space"
        return Slip(message=message, span=place(odd + 1), help="indent by plain spaces")
    if match := _NO_SPACE.match(line):
        advice = f"write `{match[1]}: {match[2]}`"
        return Slip(message="a space is missing behind this `:`", span=place(match.end(1) + 1), help=advice)
    for pattern in (_WIDE_COLON, _EQUALS):
        if match := pattern.match(line):
            advice = f"write `{f'{match[1]}: {match[3]}'.rstrip()}`"
            return Slip(message=f"a key ends in `:`, not in `{match[2]}`", span=place(match.start(2) + 1), help=advice)
    if match := _DASH.match(line):
        advice = f"write `- {match[2]}`"
        return Slip(message="a space is missing behind this `-`", span=place(match.start(1) + 1), help=advice)
    return None


def _deeper(source: Source, above: int, number: int) -> Slip | None:
    """Find a line that is indented deeper than the one above, which has its value already."""
    line, upper = source.lines[number - 1], _COMPLETE.match(source.lines[above - 1])
    lower = _PAIR.match(line)
    if upper is None or lower is None or len(lower[1]) <= len(upper[1]):
        return None
    message = f"this line is indented deeper than line {above}, which has its value already"
    span = Span(source, number, len(lower[1]) + 1, number, len(lower[1]) + 2)
    return Slip(message=message, span=span, help="indent both alike")


_LOOKS: tuple[Callable[[Stop], Slip | None], ...] = (
    _unclosed,
    _first_character,
    _alias,
    _escape,
    _behind_the_value,
    _indented_unlike,
    _unclosed_before,
    _colon,
)
