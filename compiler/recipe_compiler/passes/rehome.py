"""Paths of a shipped recipe, when another recipe builds on it.

A shipped recipe stands one folder below its home: it says ``../runs/quickstart``. For a recipe that builds on it, home
is that recipe's own folder, so the ``../`` goes.
"""

from dataclasses import replace

from recipe_compiler.syntax.tree import ListNode, MapNode, Node, Path, ScalarNode, dotted
from recipe_schema.definition import generic, leaf_index
from recipe_schema.recipe import A_PATH


_UP = "../"


def rehome(node: Node, path: Path = ()) -> Node:
    """Return a tree whose paths start at the folder that it stood above."""
    if isinstance(node, MapNode):
        entries = {name: replace(entry, node=rehome(entry.node, (*path, name))) for name, entry in node.entries.items()}
        return replace(node, entries=entries)
    if isinstance(node, ListNode):
        return replace(node, items=tuple(rehome(item, (*path, index)) for index, item in enumerate(node.items)))
    leaf = leaf_index().get(generic(dotted(path)))
    is_path = leaf is not None and leaf.spec.pattern == A_PATH
    if is_path and isinstance(node, ScalarNode) and isinstance(node.value, str):
        return replace(node, value=node.value.removeprefix(_UP))
    return node
