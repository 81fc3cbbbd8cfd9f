"""Names and places of a shipped recipe, when another recipe builds on it.

A shipped recipe stands one folder below its home: it says ``../data/sample-clips``. For a recipe that builds on it, home
is that recipe's own folder, so the ``../`` goes. Prompts that are shipped beside it stay where they are. Its
name, description and run directory are its own and stay behind.
"""

import pathlib

from recipe_compiler.syntax.tree import ListNode, MapNode, Node, Path, ScalarNode, dotted
from recipe_schema.definition import generic, leaf_index
from recipe_schema.record import replace
from recipe_schema.sections.forms import A_PATH


_UP = "../"


_PROMPTS = ("validation", "prompt_library")

_OWN = ("name", "description", "output_dir")


def rehome(tree: MapNode, folder: pathlib.Path) -> MapNode:
    """Return what a recipe takes of the shipped one that it builds on.

    Args:
        tree: The shipped recipe.
        folder: Where it is.
    """
    entries = {
        name: replace(entry, node=_moved(entry.node, (name,), folder))
        for name, entry in tree.entries.items()
        if name not in _OWN
    }
    return replace(tree, entries=entries)


def _moved(node: Node, path: Path, folder: pathlib.Path) -> Node:
    """Let the paths in a tree start at the folder that it stood below."""
    if isinstance(node, MapNode):
        entries = {
            name: replace(entry, node=_moved(entry.node, (*path, name), folder)) for name, entry in node.entries.items()
        }
        return replace(node, entries=entries)
    if isinstance(node, ListNode):
        return replace(node, items=tuple(_moved(item, (*path, index), folder) for index, item in enumerate(node.items)))
    if path == _PROMPTS and isinstance(node, ScalarNode) and (folder / str(node.value)).is_file():
        return replace(node, value=str(folder / str(node.value)))
    leaf = leaf_index().get(generic(dotted(path)))
    is_path = leaf is not None and leaf.spec.pattern == A_PATH
    if is_path and isinstance(node, ScalarNode) and isinstance(node.value, str):
        return replace(node, value=node.value.removeprefix(_UP))
    return node
