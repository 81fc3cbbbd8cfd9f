"""Files of shell: variables (``export NAME=value``), and the arguments of a command (``--name value``)."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from recipe_compiler.diagnostics.codes import SYNTAX
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.source import Source, Span, start_of
from recipe_compiler.syntax.errors import NumberError
from recipe_compiler.syntax.scalars import plain_value
from recipe_compiler.syntax.tree import Entry, ListNode, MapNode, Node, Scalar, ScalarNode


EXTRA = "TRAINER_EXTRA_ARGS"
"""A variable that holds arguments."""

_ASSIGNED = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)(\+?)=(.*)$")
_USED = re.compile(r"'[^']*'|\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))")
_WHOLE_LIST = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\[[@*]\]\}")
_SCRIPT = ".py"
"""How a script ends: arguments before it in a command are those of what launches it."""

_END = "\n"
_ENDS = (_END, "(", ")")
"""What no argument goes on behind: the end of a line without a backslash, and the signs of a list of the shell."""

_Parsed = tuple[Node | None, list[Diagnostic]]


class _ShellError(Exception):
    """A line that can't be read."""

    def __init__(self, span: Span, message: str) -> None:
        super().__init__(message)
        self.span = span


def parse_variables(source: Source) -> _Parsed:
    """Read a file of variables. What ``TRAINER_EXTRA_ARGS`` holds becomes keys of its own, with two dashes before them."""
    entries: dict[str, Entry] = {}
    try:
        for number, line in enumerate(source.lines, 1):
            entries |= _variable(line, Span(source, number, 1, number, len(line) + 1))
    except _ShellError as error:
        return None, [
            SYNTAX.at(error.span, str(error), help="write one variable in a line, in quotes if it has spaces")
        ]
    return MapNode(entries=entries, span=start_of(source)), []


def _variable(line: str, span: Span) -> dict[str, Entry]:
    """Read one line: a variable, arguments, or nothing."""
    match = _ASSIGNED.match(line)
    words = _words(line if match is None else match[3], span)
    if match is None and words:
        raise _ShellError(span, "`NAME=value` is expected here")
    if match is None:
        return {}
    if match[1] == EXTRA:
        return _arguments([(word, span) for word in _words(" ".join(words), span)])
    return {match[1]: Entry(key_span=span, node=_scalar(" ".join(words), span))}


def parse_arguments(source: Source) -> _Parsed:
    """Read a command, or its arguments alone. Words before the first argument are left out.

    Shell variables become what the file gives them, and stay if it gives them nothing. Lists of the shell are read where
    they are written; where a command takes one, it is passed over.
    """
    try:
        return MapNode(entries=_arguments(list(_placed_words(source))), span=start_of(source)), []
    except _ShellError as error:
        return None, [SYNTAX.at(error.span, str(error), help="close the quote")]


def _placed_words(source: Source) -> Iterator[tuple[str, Span]]:
    """Yield the words of all lines with their places. A quote that goes on in the next line belongs to its first one."""
    pending, first = "", 1
    variables: dict[str, str] = {}
    for number, line in enumerate(source.lines, 1):
        if not pending:
            first = number
        whole = f"{pending}\n{line}" if pending else line
        span = Span(source, first, 1, first, len(source.lines[first - 1]) + 1)
        try:
            words = _words(_expanded(whole.removesuffix("\\"), variables), span)
        except _ShellError:
            if number == len(source.lines):
                raise
            pending = whole
            continue
        pending = ""
        variables |= _assigned(words)
        yield from ((word, span) for word in words)
        if not whole.endswith("\\"):
            yield _END, span


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    """Put the values of variables into a line, but not where single quotes keep it as it is."""

    def value(match: re.Match[str]) -> str:
        return variables.get(match["braced"] or match["plain"] or "", match[0])

    return _USED.sub(value, text)


def _assigned(words: Sequence[str]) -> dict[str, str]:
    """Return the variable to which a line of so many words gives a value; a list of the shell is none."""
    match = _ASSIGNED.match(" ".join(words[1:] if words[:1] == ["export"] else words[:1]))
    alone = len(words) == (2 if words[:1] == ["export"] else 1)
    return {match[1]: match[3]} if alone and match is not None and not match[3].startswith("(") else {}


def _words(text: str, span: Span) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError as error:
        raise _ShellError(span, f"this can't be read: {str(error).lower()}") from None


def _arguments(words: list[tuple[str, Span]]) -> dict[str, Entry]:
    """Make keys of ``--name value``, ``--name=value``, ``--name one two`` and ``--flag``, but not of a launcher's."""
    entries: dict[str, Entry] = {}
    name: str | None = None
    of_command: list[str] = []
    for word, span in words:
        if word in _ENDS or _WHOLE_LIST.fullmatch(word):
            name = None
            of_command = of_command if word != _END else []
        elif word.endswith(_SCRIPT):
            name = None
            for launcher in of_command:
                entries.pop(launcher, None)
        elif word.startswith("--") and len(word) > 2:  # noqa: PLR2004 - more than the dashes
            name, equals, value = word.partition("=")
            of_command.append(name)
            node = _scalar(value, span) if equals else ScalarNode(value=True, raw="", plain=True, span=span)
            entries[name] = Entry(key_span=span, node=node)
        elif name is not None:
            entries[name] = Entry(key_span=entries[name].key_span, node=_more(entries[name].node, _scalar(word, span)))
    return entries


def _more(old: Node, new: ScalarNode) -> Node:
    """Add a word to what an argument has."""
    if isinstance(old, ListNode):
        return ListNode(items=(*old.items, new), span=old.span)
    assert isinstance(old, ScalarNode), "words are scalars"
    return new if old.value is True and not old.raw else ListNode(items=(old, new), span=old.span)


def _scalar(text: str, span: Span) -> ScalarNode:
    value: Scalar
    try:
        value = plain_value(text) if text else ""
    except NumberError:
        value = text
    return ScalarNode(value=value, raw=text, plain=True, span=span)
