"""Validate: names, types and ranges, by the JSON Schema of the language.

All mistakes are found in one go. A misspelt key is reported and then read as the key that was meant, so that what
stands below it is checked as well.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jsonschema

from recipe_compiler.diagnostics.codes import UNKNOWN_KEY, WRONG_TYPE
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.passes.explain_error import explain_error
from recipe_compiler.passes.foreign import renamed, why_not
from recipe_compiler.passes.header import HEADER
from recipe_compiler.suggest import clear, near
from recipe_compiler.syntax.rewrite import new_key
from recipe_compiler.syntax.tree import (
    BadNode,
    Entry,
    ListNode,
    MapNode,
    Node,
    Path,
    Place,
    ScalarNode,
    dotted,
    to_plain,
    walk,
)
from recipe_schema.definition import Leaf, Section, Table, definition, leaves
from recipe_schema.jsonschema import recipe_schema


@dataclass(frozen=True, slots=True, kw_only=True)
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


def validate(tree: MapNode) -> Validated:
    """Check a tree against the language."""
    found: list[Diagnostic] = []
    bad: set[Path] = {path for path, place in walk(tree) if isinstance(place.node, BadNode)}
    said = set(bad)
    renamed = _Renamer(found, bad).section(definition(), tree, ())
    texts = _as_texts(definition(), renamed)
    assert isinstance(texts, MapNode)
    found += _schema_findings(texts, said)
    return Validated(tree=texts, bad=frozenset(bad | said), found=tuple(found))


# Names


@dataclass(slots=True)
class _Renamer:
    """Puts misspelt keys right, section by section, and leaves unknown ones out."""

    found: list[Diagnostic]
    bad: set[Path]

    def section(self, section: Section, node: Node, path: Path) -> Node:
        if not isinstance(node, MapNode):
            return node
        entries: dict[str, Entry] = {}
        known = (*section.children, *(HEADER if not path else ()))
        free = [name for name in known if name not in node.entries]
        for name, entry in node.entries.items():
            target = name
            if name not in known:
                meant = self._meant(name, entry, free, known, path)
                if meant is None:
                    continue
                target = meant
                free.remove(meant)
            entries[target] = replace(entry, node=self._child(section, target, entry, (*path, target)))
        return replace(node, entries=entries)

    def _child(self, section: Section, name: str, entry: Entry, path: Path) -> Node:
        child, node = section.children.get(name), entry.node
        if isinstance(child, Section):
            return self.section(child, node, path)
        if isinstance(child, Table) and isinstance(node, MapNode):
            message, advice = f"`{dotted(path)}` takes a list, not a mapping", "put `- ` before its first key"
            self.found.append(WRONG_TYPE.at(entry.key_span, message, pointer=dotted(path), help=advice))
            node = ListNode(items=(node,), span=node.span, shadows=node.shadows)  # so that its keys are checked as well
        if isinstance(child, Table) and isinstance(node, ListNode):
            items = tuple(self.section(child.item, item, (*path, index)) for index, item in enumerate(node.items))
            return replace(node, items=items)
        return node

    def _meant(self, name: str, entry: Entry, free: list[str], known: tuple[str, ...], path: Path) -> str | None:
        """Report an unknown key; return the key that it stands for, if that one is still free."""
        where = f"in `{dotted(path)}`" if path else "at the top level"
        pointer = dotted((*path, name))
        home, fix, safe = elsewhere(name, path), None, True
        meant, reason, twin = near(name, free), why_not(name.lstrip("-"), path), None
        if home is not None and home.rpartition(".")[0] == _generic(path):
            twin, home = home.rpartition(".")[2], None
            meant = twin if twin in free else None
        if home is not None:
            advice, meant = f"`{name}` is `{home}` here", None
            self.bad.add(tuple(home.split(".")))
        elif reason is not None and twin is None:
            advice, meant = reason, None
        elif meant is not None:
            advice, fix = f"did you mean `{meant}`?", new_key(entry.key_span, name, meant)
            safe = twin is not None or clear(name, meant, free)
        else:
            twin = twin or near(name, known)
            advice = f"`{twin}` is given already" if twin is not None else "known here: " + ", ".join(known)
            if twin is not None:
                self.bad.add((*path, twin))  # what was meant for it is lost, so rules about it stay silent
        message = f"unknown key `{name}` {where}"
        cure = {"help": advice, "fix": fix, "move": home or "", "safe": safe}
        self.found.append(UNKNOWN_KEY.at(entry.key_span, message, pointer=pointer, **cure))
        self.bad.add((*path, name))
        return meant


def elsewhere(name: str, path: Path = ()) -> str | None:
    """Return the path of the key that ``name`` is called in SimpleTuner, or that bears the name in one other section.

    Args:
        name: A key that is not known where it stands.
        path: Where it stands.
    """
    flat = name.lstrip("-")
    old = renamed(flat) or next((leaf.path for leaf in leaves() if leaf.key.aka == flat), None)
    if old is not None or why_not(flat, path) is not None:
        return old
    by_name = [leaf.path for leaf in leaves() if leaf.path.rpartition(".")[2] == name and "." in leaf.path]
    sections = [child.path for child in definition().children.values() if isinstance(child, Section)]
    return by_name[0] if len(by_name) == 1 and name not in sections else None


def _generic(path: Path) -> str:
    return ".".join("*" if isinstance(part, int) else part for part in path)


# Types


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


def _schema_findings(tree: MapNode, said: set[Path]) -> Iterator[Diagnostic]:
    """Yield what the schema finds, once for each value, and add those values to what was said already."""
    places: Mapping[Path, Place] = dict(walk(tree))
    validator = jsonschema.Draft202012Validator(recipe_schema())
    errors = sorted(validator.iter_errors(to_plain(tree)), key=lambda e: [str(part) for part in e.absolute_path])
    for error in errors:
        path = _original(tuple(error.absolute_path), tree)
        for diagnostic, at in explain_error(error, path, places):
            if at not in said:
                said.add(at)
                yield diagnostic


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
