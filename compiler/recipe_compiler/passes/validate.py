"""Validate: names, types and ranges, by the JSON Schema of the language.

All mistakes are found in one go. A misspelt key is reported and then read as the key that was meant, so that what
stands below it is checked as well.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.passes.cut_short import cut_short
from recipe_compiler.passes.names import Renamer
from recipe_compiler.syntax.tree import (
    BadNode,
    ListNode,
    MapNode,
    Node,
    Path,
    Place,
    ScalarNode,
    as_list,
    to_plain,
    walk,
)
from recipe_schema.definition import Leaf, Section, Table, definition
from recipe_schema.jsonschema import recipe_schema
from recipe_schema.record import record, replace


@record
class Validated:
    """A tree of known keys.

    Attributes:
        tree: The tree, misspelt keys put right and unknown ones left out.
        bad: Paths of values about which something was said; what rests on them stays silent.
        found: The findings.
    """

    tree: MapNode
    bad: frozenset[Path]
    found: tuple[Diagnostic, ...]


def validate(tree: MapNode, taken: frozenset[Path] = frozenset()) -> Validated:
    """Check a tree against the language.

    Args:
        tree: The tree, templates evaluated.
        taken: Paths about which something was said before.
    """
    found: list[Diagnostic] = []
    bad = {*taken, *(path for path, place in walk(tree) if isinstance(place.node, BadNode))}
    said = set(bad)
    renamed = Renamer(found, bad).section(definition(), tree, ())
    texts = _as_texts(definition(), renamed)
    assert isinstance(texts, MapNode)
    found += _schema_findings(texts, said)
    found += cut_short(definition(), texts)
    lists = _as_lists(definition(), texts)
    assert isinstance(lists, MapNode)
    return Validated(tree=lists, bad=frozenset(bad | said), found=tuple(found))


def _as_texts(node: Leaf | Section | Table | None, tree: Node) -> Node:
    """Where the language takes a text and the recipe has an unquoted number, take the number as written."""
    if isinstance(node, Section) and isinstance(tree, MapNode):
        entries = {
            name: replace(entry, node=_as_texts(node.children.get(name), entry.node))
            for name, entry in tree.entries.items()
        }
        return replace(tree, entries=entries)
    if isinstance(node, Table) and isinstance(tree, ListNode):
        return replace(tree, items=tuple(_as_texts(node.item, item) for item in tree.items))
    if isinstance(node, Leaf) and node.spec.kind == "string" and not node.spec.choices and isinstance(tree, ScalarNode):
        is_number = isinstance(tree.value, int | float) and not isinstance(tree.value, bool)
        if tree.plain and is_number and tree.template is None and node.spec.container is None:
            return replace(tree, value=tree.raw)
    return tree


def _as_lists(node: Leaf | Section | Table | None, tree: Node) -> Node:
    """Where the language takes a list or its only element, make the latter a list."""
    if isinstance(node, Section) and isinstance(tree, MapNode):
        entries = {
            name: replace(entry, node=_as_lists(node.children.get(name), entry.node))
            for name, entry in tree.entries.items()
        }
        return replace(tree, entries=entries)
    if isinstance(node, Table) and isinstance(tree, ListNode):
        return replace(tree, items=tuple(_as_lists(node.item, item) for item in tree.items))
    return as_list(tree) if isinstance(node, Leaf) and node.spec.one_or_many else tree


def _schema_findings(tree: MapNode, said: set[Path]) -> Iterator[Diagnostic]:
    """Yield what the schema finds, once for each value, and add those values to what was said already."""
    places: Mapping[Path, Place] = dict(walk(tree))
    errors = sorted(_validator().iter_errors(to_plain(tree)), key=lambda e: [str(part) for part in e.absolute_path])
    if not errors:
        return
    # What explains them is loaded only when there is something to explain.
    from recipe_compiler.passes.explain_error import explain_error  # noqa: PLC0415

    for error in errors:
        path = _original(tuple(error.absolute_path), tree)
        for diagnostic, at in explain_error(error, path, places):
            if at not in said:
                said.add(at)
                yield diagnostic


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    """Return the validator of the language; every variant of a recipe needs it."""
    return jsonschema.Draft202012Validator(recipe_schema())


def _original(path: tuple[Any, ...], tree: Node) -> Path:
    """Undo the shift of list indices that leaving out bad values brought about."""
    node, result = tree, []
    for part in path:
        if isinstance(node, ListNode):
            good = [i for i, item in enumerate(node.items) if not isinstance(item, BadNode)]
            result.append(good[part])
            node = node.items[good[part]]
        else:
            result.append(part)
            node = node.entries[part].node if isinstance(node, MapNode) else node
    return tuple(result)
