"""Arguments of ``--set``: ``section.key=value``, the value in YAML, laid over a tree that has been read."""

from typing import NamedTuple

from recipe_compiler.diagnostics.codes import OVERRIDE, UNKNOWN_KEY
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.passes.header import HEADER
from recipe_compiler.passes.merge import appended_to, merge, over
from recipe_compiler.passes.names import elsewhere
from recipe_compiler.source import Source, Span
from recipe_compiler.suggest import near
from recipe_compiler.syntax.tree import Entry, ListNode, MapNode, Node, ScalarNode
from recipe_compiler.syntax.yaml_tree import MAX_DEPTH, parse_yaml
from recipe_schema.definition import Leaf, Section, Table, definition, leaf_index
from recipe_schema.record import replace


_LONGEST = 60


class _Part(NamedTuple):
    """One name of a dotted key, and where it stands in the argument."""

    name: str
    span: Span


def override(tree: MapNode, source: Source, found: list[Diagnostic]) -> MapNode:
    """Set one key of a tree. What can't be set is a finding, and the tree stays as it is.

    Elements of lists are named by their number: ``data.datasets.0.repeats=2``.
    """
    left, equals, right = source.text.partition("=")
    parts = _parts(left, source) if left.count(".") < MAX_DEPTH else ()
    if not equals or not parts or not all(part.name for part in parts):
        span = Span(source, 1, 1, 1, len(source.text) + 1)
        found.append(OVERRIDE.at(span, f"`{_clip(source.text)}` has not the form section.key=value"))
        return tree
    parts = _right_names(parts, found)
    problem = _refused(parts, tree)
    if problem is not None:
        found.append(problem)
        return tree
    try:
        both = _Setter(parts, _value(left + equals, right, source, found), found).put(tree, 0)
    except _RefusedError as refused:
        found.append(refused.args[0])
        return tree
    assert isinstance(both, MapNode)
    return both


class _RefusedError(Exception):
    """The key can't be followed; holds the finding."""


def _clip(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _parts(left: str, source: Source) -> tuple[_Part, ...]:
    column = len(left) - len(left.lstrip()) + 1
    parts: list[_Part] = []
    names = left.strip().split(".")
    for index, name in enumerate(names):
        leaf = leaf_index().get(".".join(part.name for part in parts))
        if leaf is not None and leaf.spec.container == "map":  # what follows is one name, dots and all
            rest = ".".join(names[index:])
            return (*parts, _Part(rest, Span(source, 1, column, 1, column + len(rest))))
        parts.append(_Part(name, Span(source, 1, column, 1, column + len(name))))
        column += len(name) + 1
    return tuple(parts)


def _right_names(parts: tuple[_Part, ...], found: list[Diagnostic]) -> tuple[_Part, ...]:
    """Read misspelt names as those that are meant."""
    node: Section | Table | Leaf | None = definition()
    right: list[_Part] = []
    for part in parts:
        known = (*node.children, *(() if right else HEADER)) if isinstance(node, Section) else ()
        base = appended_to(part.name) or part.name
        meant = near(base, known) if known and base not in known and elsewhere(base) is None else None
        if meant is not None:
            above = ".".join(before.name for before in right)
            where = f"in `{above}`" if above else "at the top level"
            message, advice = f"unknown key `{part.name}` {where}", f"did you mean `{meant}`?"
            found.append(UNKNOWN_KEY.at(part.span, message, pointer=f"{above}.{part.name}".lstrip("."), help=advice))
            part = _Part(part.name.replace(base, meant), part.span)  # noqa: PLW2901 - the name that is meant
        right.append(part)
        if isinstance(node, Table):
            node = node.item
        elif isinstance(node, Section):
            node = node.children.get(appended_to(part.name) or part.name)
    return tuple(right)


def _refused(parts: tuple[_Part, ...], tree: MapNode) -> Diagnostic | None:
    """Find keys that an argument can't set: they were used up already, or nothing would read them."""
    group = parts[0]
    if appended_to(group.name) == "extends" or group.name == "extends":
        return OVERRIDE.at(group.span, "`extends` can't be set", help="lay a file over the recipe with `-f FILE`")
    if group.name != "vars" or len(parts) == 1:
        return None
    declared = tree.entries["vars"].node if "vars" in tree.entries else None
    names = tuple(declared.entries) if isinstance(declared, MapNode) else ()
    part = parts[1]
    if part.name in names:
        return None
    meant = near(part.name, names)
    there = f"there is {', '.join(names)}" if names else f"declare it: `vars: {{{part.name}: …}}`"
    return OVERRIDE.at(
        part.span,
        f"the recipe has no `vars.{part.name}`",
        help=f"did you mean `vars.{meant}`?" if meant else there,
    )


def _value(before: str, text: str, source: Source, found: list[Diagnostic]) -> Node:
    """Read the value, at its own column so that findings point into the argument."""
    node, problems = parse_yaml(Source(source.name, " " * len(before) + text))
    found += [replace(d, span=d.span._replace(source=source)) for d in problems]
    if node is not None:
        return _in_source(node, source)
    start = len(before) + 1
    return ScalarNode(value=None, raw="", plain=True, span=Span(source, 1, start, 1, start))


def _in_source(node: Node, source: Source) -> Node:
    """Return the tree with its places in ``source``."""
    span = node.span._replace(source=source)
    if isinstance(node, MapNode):
        entries = {
            k: Entry(key_span=e.key_span._replace(source=source), node=_in_source(e.node, source))
            for k, e in node.entries.items()
        }
        return replace(node, entries=entries, span=span)
    if isinstance(node, ListNode):
        return replace(node, items=tuple(_in_source(item, source) for item in node.items), span=span)
    return replace(node, span=span)


class _Setter(NamedTuple):
    parts: tuple[_Part, ...]
    value: Node
    found: list[Diagnostic]

    def put(self, node: Node | None, depth: int) -> Node:
        """Return ``node`` with the value in its place; ``depth`` names were followed so far."""
        if depth == len(self.parts):
            return self._last(node)
        if isinstance(node, ListNode):
            return self._in_list(node, depth)
        part = self.parts[depth]
        if depth and node is None and part.name.isdecimal():
            raise self._refused(depth, "is not given, so it has no elements", "give the whole list: KEY=[…]")
        if isinstance(node, MapNode):
            if part.name in node.entries:
                old = node.entries[part.name]
                key_span = part.span if depth + 1 == len(self.parts) else old.key_span
                new = Entry(key_span=key_span, node=self.put(old.node, depth + 1))
                return replace(node, entries={**node.entries, part.name: new})
            merged = merge(node, self._map(part, depth), self.found, self._path(depth))
            return replace(merged, span=node.span, shadows=node.shadows)
        shadows = () if node is None else (node, *node.shadows)
        return replace(self._map(part, depth), shadows=shadows)

    def _last(self, node: Node | None) -> Node:
        """Return the value over what is there. An empty map takes that away: for adding nothing nobody writes one."""
        if node is None:
            return self.value
        if isinstance(self.value, MapNode) and not self.value.entries:
            return over(node, self.value)
        return merge(node, self.value, self.found, self._path(len(self.parts)))

    def _map(self, part: _Part, depth: int) -> MapNode:
        below = self.put(None, depth + 1)
        return MapNode(entries={part.name: Entry(key_span=part.span, node=below)}, span=part.span.upto(below.span))

    def _in_list(self, node: ListNode, depth: int) -> Node:
        name, count = self.parts[depth].name, len(node.items)
        if not name.isdecimal():
            first = ".".join([*self._path(depth), "0", *(part.name for part in self.parts[depth:])])
            raise self._refused(depth, f"is a list, and `{name}` is no number", f"name an element: {first}")
        index = int(name[:9])
        if index >= count:
            there = f"they are numbered from 0 to {count - 1}" if count else "it is empty"
            problem = f"has {count} element{'s' * (count != 1)}, and none is {name}"
            raise self._refused(depth, problem, f"{there}; KEY+=[…] appends")
        items = list(node.items)
        items[index] = self.put(items[index], depth + 1)
        return replace(node, items=tuple(items))

    def _refused(self, depth: int, problem: str, advice: str) -> _RefusedError:
        key = ".".join(self._path(depth))
        message, advice = f"`{key}` {problem}", advice.replace("KEY", key)
        return _RefusedError(OVERRIDE.at(self.parts[depth].span, message, pointer=key, help=advice))

    def _path(self, depth: int) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts[:depth])
