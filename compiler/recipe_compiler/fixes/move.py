"""Moves a key into the section that it belongs to, with its value and the comment behind it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.fixes.block import STEP, Lines, behind, last_line, lines_of, moved_text
from recipe_compiler.fixes.edit import Edit, edited
from recipe_compiler.source import Source
from recipe_compiler.syntax.tree import Entry, ListNode, MapNode, Node, Path, ScalarNode, walk
from recipe_compiler.syntax.yaml_tree import parse_yaml
from recipe_schema.definition import definition


_SIMPLE = re.compile(r"[\w./+-]+\Z|'[^']*'\Z|\"[^\"\\]*\"\Z", re.ASCII)
"""Values that may stand between braces as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Removal:
    """The lines that go, and what the tree without them is."""

    lines: Lines
    gone: Path


def moved(source: Source, finding: Diagnostic) -> str | None:
    """Return the text with the key of a finding in its place.

    Returns:
        None if that can't be done without touching anything else: the key is given there already, it shares its line
        with others, or comments would be lost.
    """
    root, found = parse_yaml(source)
    assert root is not None, "a key was found in it"
    path = next(path for path, place in walk(root) if path and place.key_span == finding.span)
    target = _target(finding.move, path)
    entry = _entry(root, path)
    lines = lines_of(entry)
    removal = _removal(root, path, lines) if lines is not None else None
    if lines is None or removal is None:
        return None
    insertion = _insertion(root, target, entry, lines)
    if insertion is None:
        return None
    text = edited(source.text, [Edit(removal.lines.start, removal.lines.end, ""), insertion])
    after, found_after = parse_yaml(Source(source.name, text))
    same = [d.code for d in found] == [d.code for d in found_after]
    return (
        text if same and after is not None and _values(after) == _expected(root, path, target, removal.gone) else None
    )


def _target(move: str, path: Path) -> Path:
    """Return the path to move to; in a table, that is the element that the key stands in."""
    return tuple(path[index] if part == "*" else part for index, part in enumerate(move.split(".")))


def _entry(root: Node, path: Path) -> Entry:
    node = _at(root, path[:-1])
    assert isinstance(node, MapNode)
    return node.entries[str(path[-1])]


def _at(root: Node, path: Path) -> Node | None:
    """Return the node at a path; None if there is none."""
    node: Node | None = root
    for part in path:
        if isinstance(node, MapNode) and part in node.entries:
            node = node.entries[str(part)].node
        elif isinstance(node, ListNode) and isinstance(part, int):
            node = node.items[part]
        else:
            return None
    return node


# Taking away


def _removal(root: Node, path: Path, lines: Lines) -> _Removal | None:
    """Take an entry away, and with it the section that would be empty without it."""
    parent = _at(root, path[:-1])
    assert isinstance(parent, MapNode)
    if len(parent.entries) > 1 or len(path) == 1:
        return _Removal(lines=lines, gone=path)
    if isinstance(path[-2], int):
        return None
    section = _entry(root, path[:-1])
    above = lines_of(section)
    head = lines.source.lines[section.key_span.line - 1 : lines.first - 1]
    if above is None or any("#" in line for line in head):
        return None
    return _removal(root, path[:-1], Lines(source=lines.source, first=above.first, last=lines.last))


# Putting in


def _insertion(root: Node, target: Path, entry: Entry, lines: Lines) -> Edit | None:
    """Put an entry into its section; make the sections that are not there yet."""
    depth = len(target) - 1
    while not isinstance(section := _at(root, target[:depth]), MapNode):
        if section is not None and not (isinstance(section, ScalarNode) and not section.raw and section.plain):
            return None  # something else stands there
        depth -= 1
    if str(target[-1]) in section.entries and depth == len(target) - 1:
        return None  # it is given already
    missing = [str(part) for part in target[depth:-1]]
    if missing and missing[0] in section.entries:
        hollow = section.entries[missing[0]].key_span  # a section without a key so far
        text = _below(missing[1:], entry, lines, name=str(target[-1]), indent=hollow.column - 1 + STEP)
        return _after_line(lines, hollow.line, text)
    if section.span.source.lines[section.span.line - 1][section.span.column - 1 :].startswith("{"):
        return _between_braces(section, [*missing, str(target[-1])], entry)
    first = next(iter(section.entries.values())).key_span
    text = _below(missing, entry, lines, name=str(target[-1]), indent=first.column - 1)
    if depth == 0 and missing:
        return _at_the_end(lines, text)
    after = _predecessor(section, target[:depth], str(target[depth]), entry)
    return None if after is None else _after_line(lines, last_line(after), text)


def _below(sections: Sequence[str], entry: Entry, lines: Lines, *, name: str, indent: int) -> list[str]:
    """Return the lines of an entry below the heads of new sections."""
    heads = [" " * (indent + STEP * level) + section + ":" for level, section in enumerate(sections)]
    return [*heads, *moved_text(entry, lines, name, indent + STEP * len(sections))]


def _between_braces(section: MapNode, names: Sequence[str], entry: Entry) -> Edit | None:
    """Put an entry in front of the brace that closes a section of one line."""
    value = entry.node.span.text
    whole = section.span.text
    if len(names) > 1 or value is None or whole is None or behind(entry).strip() or not _SIMPLE.match(value):
        return None
    inner = whole[:-1].rstrip()
    at = section.span.source.line_starts()[section.span.line - 1] + section.span.column - 1 + len(inner)
    return Edit(at, at, f"{' ' if inner.endswith(',') else ', '}{names[0]}: {value}")


def _predecessor(section: MapNode, path: Path, name: str, moving: Entry) -> Entry | None:
    """Return the entry behind which a key belongs, by the order of the definition; otherwise the last one."""
    order = _order(path)
    others = [(key, other) for key, other in section.entries.items() if other is not moving]
    # What the definition does not have is the head of the file: `recipe`, `extends`, `vars`.
    before = [other for key, other in others if key not in order or order.index(key) < order.index(name)]
    return max(before or [other for _, other in others], key=lambda other: other.key_span.line, default=None)


def _order(path: Path) -> list[str]:
    """Return the keys of a section, as the definition has them."""
    node: Any = definition()
    for part in path:
        node = node.item if isinstance(part, int) else node.children[part]
    return list(node.children)


def _after_line(moving: Lines, line: int, text: Sequence[str]) -> Edit:
    """Put lines behind a line. The text may end without a line break, and does so again then."""
    source = moving.source
    starts, newline = source.line_starts(), _newline(source)
    if line < len(starts):
        return Edit(starts[line], starts[line], "".join(part + newline for part in text))
    start = "" if moving.last == line else newline
    return Edit(len(source.text), len(source.text), start + newline.join(text))


def _at_the_end(moving: Lines, text: Sequence[str]) -> Edit:
    """Put a new section behind everything else, apart from it if sections are kept apart there."""
    written = moving.source.lines
    last = len(written) - (not written[-1])
    gaps = any(not line.strip() for line in written[: last - 1])
    return _after_line(moving, last, [*([""] if gaps and written[last - 1].strip() else []), *text])


def _newline(source: Source) -> str:
    match = re.search("\r\n|\n|\r", source.text)
    return match[0] if match is not None else "\n"


# Looking at the result


def _expected(root: Node, path: Path, target: Path, gone: Path) -> Any:
    """Return the values of a tree after a key was moved."""
    tree = _values(root)
    value = _holder(tree, path)[path[-1]]
    _holder(tree, gone).pop(gone[-1])
    for index, part in enumerate(target[:-1]):
        holder = _holder(tree, target[: index + 1])
        if not isinstance(part, int) and holder.get(part) is None:
            holder[part] = {}
    _holder(tree, target)[target[-1]] = value
    return tree


def _holder(tree: Any, path: Path) -> Any:
    """Return the mapping that the last part of a path is in."""
    for part in path[:-1]:
        tree = tree[part]
    return tree


def _values(node: Node) -> Any:
    """Return the values of a tree, and something for those that can't be read."""
    if isinstance(node, MapNode):
        return {name: _values(entry.node) for name, entry in node.entries.items()}
    if isinstance(node, ListNode):
        return [_values(item) for item in node.items]
    return node.value if isinstance(node, ScalarNode) else ...
