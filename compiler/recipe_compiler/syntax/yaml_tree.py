"""YAML text to tree. The only module that knows the YAML library.

It folds libyaml's *events* and never recurses, so that deep nesting, alias bombs and huge files end in a finding.
"""

import yaml
from yaml.error import Mark

from recipe_compiler.diagnostics.codes import (
    DUPLICATE_KEY,
    NOT_A_NUMBER,
    SYNTAX,
    UNQUOTED_TEMPLATE,
    UNSUPPORTED,
)
from recipe_compiler.diagnostics.diagnostic import Diagnostic, Note
from recipe_compiler.source import Source, Span, start_of
from recipe_compiler.syntax.errors import NumberError
from recipe_compiler.syntax.rewrite import quoted
from recipe_compiler.syntax.scalars import plain_value
from recipe_compiler.syntax.tree import BadNode, Entry, ListNode, MapNode, Node, ScalarNode
from recipe_schema.record import replace


MAX_NODES = 100_000
MAX_DEPTH = 64

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

_BEGUN = {
    "while parsing a flow sequence": "the list begins here",
    "while parsing a flow mapping": "the mapping begins here",
    "while parsing a block mapping": "",  # as a rule the first line
}
"""What libyaml was reading when it stopped, for people."""


class _Stop(Exception):  # noqa: N818 - it ends the reading, it is no error of ours
    """Reading can't go on."""


class _Frame:
    """A collection that is being read."""

    def __init__(self, span: Span, anchor: str | None, *, is_map: bool, flow: bool) -> None:
        self.span = span
        self.anchor = anchor
        self.is_map = is_map
        self.flow = flow
        self.entries: dict[str, Entry] = {}
        self.items: list[Node] = []
        self.key: tuple[str, Span] | None = None
        self.skip = False  # the value under a key that was refused
        self.is_key = False  # a collection in the place of a key
        self.spoilt = False  # a template without quotes
        self.last: Span | None = None
        self.nodes_before = 0
        self.height = 1  # levels of collections in it, itself included


def parse_yaml(source: Source) -> tuple[Node | None, list[Diagnostic]]:
    """Read one YAML document.

    Returns:
        The tree (None if there is none to speak of), and what was found.
    """
    reader = _Reader(source)
    try:
        for event in yaml.parse(source.text, Loader=_LOADER):
            reader.take(event)
    except _Stop:
        return None, reader.found
    except yaml.MarkedYAMLError as error:
        reader.found.append(_syntax_error(source, error))
        return None, reader.found
    except yaml.reader.ReaderError as error:
        reader.found.append(_character_error(source, error.position))
        return None, reader.found
    return reader.root, reader.found


def scalar_spans(source: Source) -> list[Span] | None:
    """Return the place of every key and value that is no collection; None if the text is not YAML."""
    try:
        events = yaml.parse(source.text, Loader=_LOADER)
        return [_span(source, event) for event in events if isinstance(event, yaml.ScalarEvent)]
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError):
        return None


def _span(source: Source, event: yaml.Event) -> Span:
    start, end = event.start_mark, event.end_mark
    assert start is not None
    assert end is not None
    return Span(source, start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def _syntax_error(source: Source, error: yaml.MarkedYAMLError) -> Diagnostic:
    from recipe_compiler.syntax.broken import Stop, slip  # noqa: PLC0415 - few texts are broken

    context = _mark(source, error.context_mark)
    at = _mark(source, error.problem_mark or error.context_mark)
    problem = error.problem or "this is not YAML"
    found = slip(Stop(problem=problem, context=error.context or "", at=at, began=context))
    told = _BEGUN.get(error.context or "", error.context)
    notes = (Note(context, told),) if told and context.line != found.span.line else ()
    return SYNTAX.at(found.span, found.message, help=found.help, notes=notes)


def _mark(source: Source, mark: Mark | None) -> Span:
    """Point at a mark of libyaml; one behind the end of the text becomes the end of its last line."""
    if mark is None:
        return start_of(source)
    line, column = mark.line + 1, mark.column + 1
    last = max((n for n, text in enumerate(source.lines, 1) if text.strip()), default=1)
    if line > last:
        line, column = last, len(source.lines[last - 1]) + 1
    return Span(source, line, column, line, column + 1)


def _character_error(source: Source, byte: int) -> Diagnostic:
    """Point at a character that YAML forbids; libyaml counts bytes of UTF-8."""
    before = source.text.encode()[:byte].decode(errors="ignore")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    message = f"the character U+{ord(source.text[len(before)]):04X} is not allowed in YAML"
    return SYNTAX.at(Span(source, line, column, line, column + 1), message, help="remove it")


class _Reader:
    """Folds events into a tree."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.found: list[Diagnostic] = []
        self.root: Node | None = None
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Node, int, int] | None] = {}  # with number of nodes, and height
        self._nodes = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        """Take the next event."""
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._refuse(event, "a second document begins here", "keep one recipe in a file")
                raise _Stop
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close(event)

    # Collections

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        self._count(event, 1)
        self._check_tag(event)
        is_map = isinstance(event, yaml.MappingStartEvent)
        frame = _Frame(self._span(event), event.anchor, is_map=is_map, flow=bool(event.flow_style))
        frame.nodes_before = self._nodes - 1
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if self._awaits_key():
            frame.is_key = True
            self._bad_key(self._stack[-1], frame)
        self._stack.append(frame)
        if len(self._stack) > MAX_DEPTH:
            self._refuse(event, f"more than {MAX_DEPTH} levels of nesting", "flatten the file")
            raise _Stop

    def _bad_key(self, parent: _Frame, frame: _Frame) -> None:
        line = self.source.lines[parent.span.line - 1]
        if parent.flow and line[parent.span.column - 1 :].startswith("{{"):
            parent.spoilt = True
        else:
            self.found.append(UNSUPPORTED.at(frame.span, "a key has to be a text", help="write the key as one word"))

    def _close(self, event: yaml.MappingEndEvent | yaml.SequenceEndEvent) -> None:
        frame = self._stack.pop()
        end = self._span(event) if frame.flow or frame.last is None else frame.last
        span = frame.span.upto(end)
        node: Node
        if frame.spoilt:
            fix = self._quoted(span)
            advice = f"write {fix}" if fix is not None else "put the whole value in quotes, on one line"
            self.found.append(UNQUOTED_TEMPLATE.at(span, "a template needs quotes", help=advice, fix=fix, safe=True))
            node = BadNode(span=span)
        elif frame.is_map:
            node = MapNode(entries=frame.entries, span=span)
        else:
            node = ListNode(items=tuple(frame.items), span=span)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (node, self._nodes - frame.nodes_before, frame.height)
        if frame.is_key:
            self._stack[-1].key, self._stack[-1].skip = ("", span), True
            return
        self._put(node, frame.height)

    def _quoted(self, span: Span) -> str | None:
        """Put quotes around a template, unless the value goes on behind it."""
        rest = self.source.lines[span.end_line - 1][span.end_column - 1 :].lstrip()
        alone = not rest or rest[0] in "#,]}"
        return quoted(span.text) if span.text is not None and alone else None

    # Scalars

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._count(event, 1)
        span = self._span(event)
        if self._awaits_key():
            self._key(event, span)
            return
        self._check_tag(event)
        plain = not event.style
        node: Node
        try:
            value = plain_value(event.value) if plain else event.value
            node = ScalarNode(value=value, raw=event.value, plain=plain, span=span)
        except NumberError as error:
            self.found.append(
                NOT_A_NUMBER.at(span, str(error), help="write a finite number, or put quotes around a text")
            )
            node = BadNode(span=span)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, 1, 0)
        self._put(node)

    def _key(self, event: yaml.ScalarEvent, span: Span) -> None:
        frame, name = self._stack[-1], event.value
        frame.key, frame.skip = (name, span), False
        if name == "<<" and not event.style:
            self.found.append(
                UNSUPPORTED.at(span, "merge keys are not supported", help="build on another recipe with `extends`")
            )
            frame.skip = True
        elif name in frame.entries:
            first = frame.entries[name].key_span
            self.found.append(
                DUPLICATE_KEY.at(
                    span,
                    f"`{name}` is given twice",
                    help="keep one of them",
                    notes=(Note(first, "first given here"),),
                )
            )
            frame.skip = True

    def _alias(self, event: yaml.AliasEvent) -> None:
        target = self._anchors.get(str(event.anchor))
        if target is None:
            problem = "refers to itself" if event.anchor in self._anchors else "refers to no anchor"
            self._refuse(event, f"the alias `*{event.anchor}` {problem}", "write the value out")
            raise _Stop
        node, size, height = target
        self._count(event, size)
        if len(self._stack) + height > MAX_DEPTH:
            self._refuse(event, f"more than {MAX_DEPTH} levels of nesting, aliases written out", "flatten the file")
            raise _Stop
        if self._awaits_key():
            self._stack[-1].key, self._stack[-1].skip = ("", self._span(event)), True
            self._refuse(event, "an alias can't be a key", "write the key out")
            return
        self._put(replace(node, span=self._span(event)), height)

    # Bookkeeping

    def _awaits_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].is_map and self._stack[-1].key is None

    def _put(self, node: Node, height: int = 0) -> None:
        if not self._stack:
            self.root = node
            return
        frame = self._stack[-1]
        frame.height = max(frame.height, height + 1)
        frame.last = node.span
        if not frame.is_map:
            frame.items.append(node)
            return
        assert frame.key is not None
        name, key_span = frame.key
        if not frame.skip:
            frame.entries[name] = Entry(key_span=key_span, node=node)
        frame.key, frame.skip = None, False

    def _count(self, event: yaml.Event, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            self._refuse(
                event, f"more than {MAX_NODES:,} values, aliases written out", "recipes are small; split the file"
            )
            raise _Stop

    def _check_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None and event.tag != "!":
            self._refuse(event, f"the tag `{event.tag}` is not supported", "remove the tag; put quotes around a text")

    def _refuse(self, event: yaml.Event, message: str, advice: str) -> None:
        self.found.append(UNSUPPORTED.at(self._span(event), message, help=advice))

    def _span(self, event: yaml.Event) -> Span:
        return _span(self.source, event)
