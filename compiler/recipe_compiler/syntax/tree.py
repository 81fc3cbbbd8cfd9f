"""The tree of a recipe: YAML values that remember where they stand and what they replaced."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from recipe_compiler.source import Span
from recipe_schema.record import record


Scalar = None | bool | int | float | str


@record
class ScalarNode:
    """A single value.

    Attributes:
        value: The value, by the core rules of YAML 1.2.
        raw: The text as written, without quotes.
        plain: It was written without quotes.
        span: Where.
        template: The template that it was computed from, if any.
        shadows: What it replaced, nearest first.
    """

    value: Scalar
    raw: str
    plain: bool
    span: Span
    template: str | None = None
    shadows: "tuple[Node, ...]" = ()


@record
class ListNode:
    """A sequence.

    Attributes:
        items: Its elements.
        span: Where.
        onto: The places of the lists that it was appended to, first to last. Their elements come first in ``items``.
        shadows: What it replaced, nearest first.
    """

    items: "tuple[Node, ...]"
    span: Span
    onto: tuple[Span, ...] = ()
    shadows: "tuple[Node, ...]" = ()


@record
class Entry:
    """A key of a mapping, with its value."""

    key_span: Span
    node: "Node"


@record
class MapNode:
    """A mapping."""

    entries: Mapping[str, Entry]
    span: Span
    shadows: "tuple[Node, ...]" = ()


@record
class BadNode:
    """A value about which something was said already; the passes after that leave it alone."""

    span: Span
    shadows: "tuple[Node, ...]" = ()


Node = ScalarNode | ListNode | MapNode | BadNode

Path = tuple[str | int, ...]
"""Where a node stands in the tree, as in ``("data", "datasets", 0, "id")``."""


class Place(NamedTuple):
    """Where a value of the plain form stands: the node, and its key if it has one."""

    node: Node
    key_span: Span | None


def as_list(node: Node) -> Node:
    """Return a single value as the list that holds it alone; null and what is no single value stay what they are."""
    if not isinstance(node, ScalarNode) or node.value is None:
        return node
    return ListNode(items=(node,), span=node.span, shadows=node.shadows)


def dotted(path: Path) -> str:
    """Write a path as people do: ``data.datasets.0.id``."""
    return ".".join(str(part) for part in path)


def walk(node: Node, path: Path = (), key_span: Span | None = None) -> Iterator[tuple[Path, Place]]:
    """Yield every node below ``node``, itself included, with its path."""
    yield path, Place(node=node, key_span=key_span)
    if isinstance(node, MapNode):
        for name, entry in node.entries.items():
            yield from walk(entry.node, (*path, name), entry.key_span)
    elif isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from walk(item, (*path, index))


def to_plain(node: Node) -> Any:
    """Return the plain dictionaries, lists and scalars of a tree; bad values are left out."""
    if isinstance(node, MapNode):
        return {k: to_plain(e.node) for k, e in node.entries.items() if not isinstance(e.node, BadNode)}
    if isinstance(node, ListNode):
        return [to_plain(item) for item in node.items if not isinstance(item, BadNode)]
    return node.value if isinstance(node, ScalarNode) else None
