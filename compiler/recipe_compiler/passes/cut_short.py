"""Cut short: texts that end where a comment begins which may be the rest of them."""

import re
from collections.abc import Iterator

from recipe_compiler.diagnostics.codes import CUT_SHORT
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.syntax.tree import ListNode, MapNode, Node, ScalarNode, walk
from recipe_schema.definition import Leaf, Section, Table


_REST = re.compile(r"\s*(#\w.*?)(?=\s+#\s|\s*$)")
"""A comment without a space behind its `#`, up to one that has it."""


def cut_short(node: Leaf | Section | Table | None, tree: Node) -> Iterator[Diagnostic]:
    """Look behind all texts that are no choice among a few words.

    Args:
        node: What the language takes there.
        tree: What the recipe has there.
    """
    if isinstance(node, Section) and isinstance(tree, MapNode):
        for name, entry in tree.entries.items():
            yield from cut_short(node.children.get(name), entry.node)
    elif isinstance(node, Table) and isinstance(tree, ListNode):
        for item in tree.items:
            yield from cut_short(node.item, item)
    elif isinstance(node, Leaf) and node.spec.kind == "string" and not node.spec.choices:
        for _, place in walk(tree):
            if isinstance(place.node, ScalarNode):
                yield from _look_behind(place.node)


def _look_behind(text: ScalarNode) -> Iterator[Diagnostic]:
    span = text.span
    if not text.plain or not (isinstance(text.value, str) or text.raw == "") or span.end_line > len(span.source.lines):
        return
    rest = _REST.match(span.source.lines[span.end_line - 1], span.end_column - 1)
    if rest is None:
        return
    if text.raw:
        at, what = span, f"the text ends where the comment `{rest[1]}` begins"
    else:
        at, what = span._replace(column=rest.start(1) + 1), f"`{rest[1]}` is a comment, and no text"
    quotes = "quotes" if span.source.is_file else "quotes, inside of the shell's,"
    advice = f"put {quotes} around the whole text if that belongs to it, and a space behind the `#` if it is a comment"
    yield CUT_SHORT.at(at._replace(end_column=rest.end(1) + 1), what, help=advice)
