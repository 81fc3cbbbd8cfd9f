"""Names: misspelt keys are reported, and read as the keys that were meant.

This is done for each file by itself, before it is laid over others: there, the key that was meant is still free.
"""

from dataclasses import dataclass, replace

from recipe_compiler.diagnostics.codes import UNKNOWN_KEY, WRONG_TYPE
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.passes.foreign import renamed, why_not
from recipe_compiler.passes.header import HEADER
from recipe_compiler.passes.merge import appended_to
from recipe_compiler.suggest import clear, near
from recipe_compiler.syntax.rewrite import new_key
from recipe_compiler.syntax.tree import Entry, ListNode, MapNode, Node, Path, dotted
from recipe_schema.definition import Section, Table, definition, leaves


@dataclass(slots=True)
class Renamer:
    """Puts misspelt keys right, section by section.

    Attributes:
        found: Collects what is wrong.
        bad: Collects the paths about which something was found.
        keeps_unknown: Leave keys that stand for nothing where they are, for a later look, and say nothing yet.
    """

    found: list[Diagnostic]
    bad: set[Path]
    keeps_unknown: bool = False

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
        lost: Path = ()
        if home is not None and home.rpartition(".")[0] == _generic(path):
            twin, home = home.rpartition(".")[2], None
            meant = twin if twin in free else None
        if home is not None:
            advice, meant = f"`{name}` is `{home}` here", None
            lost = tuple(home.split("."))
        elif reason is not None and twin is None:
            advice, meant = reason, None
        elif meant is not None:
            advice, fix = f"did you mean `{meant}`?", new_key(entry.key_span, name, meant)
            safe = twin is not None or clear(name, meant, free)
        else:
            twin = twin or near(name, known)
            advice = f"`{twin}` is given already" if twin is not None else "known here: " + ", ".join(known)
            lost = (*path, twin) if twin is not None else ()  # what was meant for it, so rules about it stay silent
        if meant is None and self.keeps_unknown:
            return None
        message = f"unknown key `{name}` {where}"
        cure = {"help": advice, "fix": fix, "move": home or "", "safe": safe}
        self.found.append(UNKNOWN_KEY.at(entry.key_span, message, pointer=pointer, **cure))
        self.bad |= {(*path, name), lost} - {()}
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
