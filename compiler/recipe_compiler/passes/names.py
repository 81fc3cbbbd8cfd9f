"""Names: misspelt keys are reported, and read as the keys that were meant.

This is done for each file by itself, before it is laid over others: there, the key that was meant is still free.
"""

from recipe_compiler.diagnostics.codes import UNKNOWN_KEY, WRONG_TYPE
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.passes.foreign import renamed, why_not
from recipe_compiler.passes.header import HEADER
from recipe_compiler.passes.merge import appended_to
from recipe_compiler.suggest import clear, equals, near
from recipe_compiler.syntax.rewrite import new_key
from recipe_compiler.syntax.tree import Entry, ListNode, MapNode, Node, Path, ScalarNode, dotted
from recipe_schema.definition import Section, Table, definition, generic, leaf_index, leaves
from recipe_schema.record import record, replace


_SHOWN = 24
"""How many keys of a section are named where one is not known."""


class Renamer:
    """Puts misspelt keys right, section by section.

    Attributes:
        found: Collects what is wrong.
        bad: Collects the paths about which something was found.
        keeps_unknown: Leave keys that stand for nothing where they are, for a later look, and say nothing yet.
    """

    def __init__(self, found: list[Diagnostic], bad: set[Path], *, keeps_unknown: bool = False) -> None:
        self.found = found
        self.bad = bad
        self.keeps_unknown = keeps_unknown

    def section(self, section: Section, node: Node, path: Path) -> Node:
        """Return what ``node`` is with the right names; ``section`` says which there are below ``path``."""
        if not isinstance(node, MapNode):
            return node
        entries: dict[str, Entry] = {}
        known = (*section.children, *(HEADER if not path else ()))
        free = [name for name in known if name not in node.entries]
        for name, entry in node.entries.items():
            target = name
            if name not in known and appended_to(name) is None:  # what appends is checked once it has a list
                meant = self._meant(name, entry, free, known, path)
                if meant is None:
                    if self.keeps_unknown:
                        entries[name] = entry
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
            items, advice = _elements(child, node)
            message = f"`{dotted(path)}` takes a list, not a mapping"
            self.found.append(WRONG_TYPE.at(entry.key_span, message, pointer=dotted(path), help=advice))
            node = ListNode(items=items, span=node.span, shadows=node.shadows)  # so that its keys are checked as well
        if isinstance(child, Table) and isinstance(node, ListNode):
            items = tuple(self.section(child.item, item, (*path, index)) for index, item in enumerate(node.items))
            return replace(node, items=items)
        return node

    def _meant(self, name: str, entry: Entry, free: list[str], known: tuple[str, ...], path: Path) -> str | None:
        """Report an unknown key; return the key that it stands for, if that one is still free."""
        cure = _cure(name, entry.node, free, known, path)
        if cure.meant is None and self.keeps_unknown:
            return None
        fix = new_key(entry.key_span, name, cure.meant) if cure.meant is not None else None
        self.found.append(
            UNKNOWN_KEY.at(
                entry.key_span,
                f"unknown key `{name}` " + (f"in `{dotted(path)}`" if path else "at the top level"),
                pointer=dotted((*path, name)),
                help=cure.advice,
                fix=fix,
                move=cure.home or "",
                safe=cure.safe,
            )
        )
        self.bad.add((*path, name))
        if cure.lost:
            self.bad.add(cure.lost)
        return cure.meant


def _elements(table: Table, node: MapNode) -> tuple[tuple[Node, ...], str]:
    """Return the elements that a mapping in the place of a list stands for, and how to write them."""
    known = table.item.children
    named = {name: entry for name, entry in node.entries.items() if isinstance(entry.node, MapNode)}
    if "id" not in known or not named or len(named) < len(node.entries) or any(near(name, known) for name in named):
        return (node,), "put `- ` before its first key"
    items = []
    for name, entry in named.items():
        assert isinstance(entry.node, MapNode)
        own = ScalarNode(value=name, raw=name, plain=False, span=entry.key_span)
        items.append(
            replace(entry.node, entries={"id": Entry(key_span=entry.key_span, node=own), **entry.node.entries})
        )
    return tuple(items), f"write each as an element of it: `- id: {next(iter(named))}`, and its keys below"


@record
class _Cure:
    """What an unknown key stands for.

    Attributes:
        advice: What to do.
        meant: The key of the same section that it is read as.
        home: The path of the key in another section that it is.
        lost: The path of what was to be given and is not, so that rules about it stay silent.
        safe: No doubt is left.
    """

    advice: str
    meant: str | None = None
    home: str | None = None
    lost: Path = ()
    safe: bool = True


def _cure(name: str, node: Node, free: list[str], known: tuple[str, ...], path: Path) -> _Cure:
    """Find what an unknown key stands for: in its own section, then in others."""
    home, near_one = elsewhere(name, path), near(name, [other for other in free if _fits(other, node)])
    if near_one is not None and near(name, known) not in (*free, None):
        near_one = None  # what is meant is given already
    own = home.rpartition(".")[2] if home is not None and home.rpartition(".")[0] == _generic(path) else None
    in_data_set = path[:2] == ("data", "datasets")  # pasted from elsewhere, more often than written
    known_there = not path or (in_data_set and (home is not None or _reason(name, path) is not None))
    if own is None and (known_there or near_one is None):  # where other tools have the name, it is no slip
        other = _in_another_section(name, home, path)
        if other is not None:
            return other
    meant = own if own in free else near_one if own is None else None
    others = equals(name, meant, free) if meant is not None and own is None else ()
    if others:
        return _Cure(advice=f"did you mean {' or '.join(f'`{each}`' for each in sorted((str(meant), *others)))}?")
    if meant is not None:
        return _Cure(advice=f"did you mean `{meant}`?", meant=meant, safe=own is not None or clear(name, meant, free))
    twin = own or near(name, known)
    if twin in free:
        return _Cure(advice=f"`{twin}` is a section: write its keys below it, indented", lost=(*path, str(twin)))
    if twin is not None:
        return _Cure(advice=f"`{twin}` is given already", lost=(*path, twin))
    more = f", and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return _Cure(advice=f"known here: {', '.join(known[:_SHOWN])}{more}")


def _in_another_section(name: str, home: str | None, path: Path) -> _Cure | None:
    reason = _reason(name.lstrip("-"), path)
    if home is not None:
        here = _here(home, path)
        return _Cure(advice=_moved_to(name, here), home=None if "*" in here else home, lost=tuple(home.split(".")))
    if reason is not None:
        return _Cure(advice=reason)
    if not path and generic(name) in leaf_index():
        return _Cure(advice=f"write it nested: `{_nested(name)}`", lost=tuple(name.split(".")))
    return None


def _reason(name: str, path: Path) -> str | None:
    """Say why SimpleTuner's key is not taken. In data sets that holds for the keys of its flat file as well."""
    own = why_not(name, path)
    return why_not(name, ()) if own is None and path[:2] == ("data", "datasets") else own


def _fits(name: str, node: Node) -> bool:
    """Say whether a key can stand for ``name`` by its value: a single value is no section."""
    sections = {key for key, child in definition().children.items() if isinstance(child, Section)}
    return not (isinstance(node, ScalarNode) and node.value is not None and name in sections)


def _here(home: str, path: Path) -> str:
    """Write the path of a key with the element of the table that ``path`` is in."""
    parts = home.split(".")
    known = zip(parts, path, strict=False)
    shared = [str(mine) if part == "*" else part for part, mine in known]
    return (
        ".".join(shared + parts[len(shared) :])
        if _generic(path[: len(shared)]) == ".".join(parts[: len(shared)])
        else home
    )


def _moved_to(name: str, here: str) -> str:
    table, star, key = here.partition(".*.")
    if star:
        return f"write `{key}` in each entry of `{table}` that it is for"
    return f"`{name}` is `{here}` here"


def _nested(name: str) -> str:
    *sections, key = name.split(".")
    return "".join(f"{section}: {{" for section in sections) + f"{key}: …" + "}" * len(sections)


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
    if not path and name == "datasets":
        return "data.datasets"
    by_name = [leaf.path for leaf in leaves() if leaf.path.rpartition(".")[2] == name and "." in leaf.path]
    telling = "_" in name  # `enabled` or `seed` may be meant for anything
    return by_name[0] if len(by_name) == 1 and telling else None


def _generic(path: Path) -> str:
    return ".".join("*" if isinstance(part, int) else part for part in path)
