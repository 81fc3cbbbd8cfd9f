"""Merge: one tree is laid over another.

Maps merge deeply, lists and scalars replace, and ``key+`` appends its list to that of ``key`` below. An empty map of names
that are free to choose, as prompts have, replaces too: nothing else could take those below away. Whatever is replaced stays
behind as a shadow, for ``recipe explain``.
"""

from recipe_compiler.diagnostics.codes import DUPLICATE_KEY, NOTHING_TO_APPEND, WRONG_TYPE
from recipe_compiler.diagnostics.diagnostic import Diagnostic, Note
from recipe_compiler.suggest import near
from recipe_compiler.syntax.tree import BadNode, Entry, ListNode, MapNode, Node, Path, as_list, dotted
from recipe_schema.definition import generic, leaf_index
from recipe_schema.record import replace


APPEND = "+"
"""What a key ends with that appends."""


def merge(below: Node, above: Node, found: list[Diagnostic], path: Path = ()) -> Node:
    """Lay one tree over another.

    A ``key+`` that finds no ``key`` below it waits for one further down: see `settle`.

    Args:
        below: The tree that yields.
        above: The tree that wins.
        found: Collects what is wrong.
        path: Where both are.
    """
    if not isinstance(below, MapNode) or not isinstance(above, MapNode) or _clears(above, path):
        return over(below, above)
    entries = dict(below.entries)
    for name, entry in above.entries.items():
        base = appended_to(name)
        if base is not None:
            if base in above.entries:
                found.append(_both(base, above))
            else:
                _append(entries, base, entry, found, path)
            continue
        entries.pop(name + APPEND, None)  # it waited to be appended to what is replaced now
        node = merge(entries[name].node, entry.node, found, (*path, name)) if name in entries else entry.node
        entries[name] = replace(entry, node=node)
    return replace(above, entries=entries)


def over(below: Node, above: Node) -> Node:
    """Lay one tree over another whole, with nothing of what is below."""
    return replace(above, shadows=(*above.shadows, below, *below.shadows))


def _clears(above: MapNode, path: Path) -> bool:
    """Say whether a map is empty, and one of names that its author chooses."""
    if above.entries:
        return False
    leaf = leaf_index().get(generic(dotted(path)))
    return path == ("matrix",) or (leaf is not None and leaf.spec.container == "map")


def appended_to(name: str) -> str | None:
    """Return the key that ``key+`` appends to; None for a key that does not append."""
    return name[: -len(APPEND)] if name.endswith(APPEND) and name != APPEND else None


def _append(entries: dict[str, Entry], base: str, entry: Entry, found: list[Diagnostic], path: Path) -> None:
    target = base if base in entries else base + APPEND
    if target not in entries:
        entries[target] = entry
        return
    entry = replace(entry, node=_several(entry.node, base, path))
    below, above = _several(entries[target].node, base, path), entry.node
    if isinstance(below, ListNode) and isinstance(above, ListNode):
        joined = replace(below, items=below.items + above.items, span=above.span, onto=(*below.onto, below.span))
        entries[target] = replace(entry, node=joined)
    elif isinstance(below, ListNode | BadNode):
        found += _no_list(base, entry, path)
    elif not isinstance(above, BadNode):
        message = f"`{dotted((*path, base))}` is no list, so nothing can be appended to it"
        note = Note(below.span, "what it is")
        advice = f"write `{base}:` to replace it"
        found.append(WRONG_TYPE.at(entry.key_span, message, pointer=dotted((*path, base)), help=advice, notes=(note,)))


def _several(node: Node, base: str, path: Path) -> Node:
    """Return a value that stands for a list, where the language takes one or several, as that list."""
    leaf = leaf_index().get(generic(dotted((*path, base))))
    return as_list(node) if leaf is not None and leaf.spec.one_or_many else node


def _no_list(base: str, entry: Entry, path: Path) -> tuple[Diagnostic, ...]:
    if isinstance(entry.node, ListNode | BadNode):
        return ()
    name = dotted((*path, base))
    message, advice = f"`{name}{APPEND}` takes a list", f"write `{base}{APPEND}: [...]`, or `{base}:` to replace it"
    return (WRONG_TYPE.at(entry.key_span, message, pointer=name, help=advice),)


def _both(base: str, node: MapNode) -> Diagnostic:
    return DUPLICATE_KEY.at(
        node.entries[base + APPEND].key_span,
        f"`{base}` is set and appended to in one mapping",
        help="write all elements into one list",
        notes=(Note(node.entries[base].key_span, "set here"),),
    )


def settle(node: Node, found: list[Diagnostic], path: Path = ()) -> Node:
    """Make every ``key+`` that still waits a finding. It then counts as ``key``, so that its list is checked too."""
    if isinstance(node, ListNode):
        return replace(node, items=tuple(settle(item, found, (*path, i)) for i, item in enumerate(node.items)))
    if not isinstance(node, MapNode):
        return node
    entries: dict[str, Entry] = {}
    for name, entry in node.entries.items():
        base = appended_to(name)
        if base is None:
            entries[name] = replace(entry, node=settle(entry.node, found, (*path, name)))
        elif base in node.entries:
            found.append(_both(base, node))
        else:
            entry = replace(entry, node=_several(entry.node, base, path))  # noqa: PLW2901 - one or several
            no_list = _no_list(base, entry, path)
            meant = near(base, [other for other in node.entries if appended_to(other) is None])
            if meant is None and not no_list:
                entries[base] = replace(entry, node=settle(entry.node, found, (*path, base)))
            found += no_list or (_nothing(base, meant, entry, path),)
    return replace(node, entries=entries)


def _nothing(base: str, meant: str | None, entry: Entry, path: Path) -> Diagnostic:
    name = dotted((*path, base))
    advice = f"no file below gives `{name}`, and defaults can't be appended to; write `{base}:` to set the list"
    fix = base
    if meant is not None:
        advice, fix = f"did you mean `{meant}{APPEND}`?", meant + APPEND
    return NOTHING_TO_APPEND.at(
        entry.key_span, f"`{name}{APPEND}` has nothing to append to", pointer=name, help=advice, fix=fix
    )
