"""Compose: a recipe, what it extends, overlays and ``--set`` become one tree.

Maps merge deeply, lists and scalars replace. Whatever is replaced stays behind as a shadow, for ``recipe explain``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recipe_compiler.diagnostics.codes import EXTENDS, OVERRIDE, SYNTAX, WRONG_TYPE
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.source import Source, Span, start_of
from recipe_compiler.syntax.tree import BadNode, Entry, ListNode, MapNode, Node, ScalarNode
from recipe_compiler.syntax.yaml_tree import parse_yaml


MAX_EXTENDS = 16
"""How deep recipes may build on each other."""

BUILTIN = "builtin:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """One tree, and every source that went into it.

    Attributes:
        tree: The merged tree; None if a source can't be read as a mapping.
        sources: In the order in which they were read, the recipe itself first.
        found: What was found on the way.
    """

    tree: MapNode | None
    sources: tuple[Source, ...]
    found: tuple[Diagnostic, ...]

    @property
    def whole(self) -> bool:
        """Every source was read. If not, what seems to be missing may stand in one that was not."""
        return not any(d.code in (SYNTAX.code, EXTENDS.code) for d in self.found)


def builtin_folder() -> Path:
    """Return the folder of the shipped recipes: inside the installed package, or in a checkout beside it."""
    inside = Path(__file__).parent.parent / "builtin"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "recipes"


def compose(main: Source, path: Path, overlays: Sequence[Path], overrides: Sequence[str]) -> Composed:
    """Read and merge everything that one recipe is made of.

    Args:
        main: The recipe.
        path: Where it is, for ``extends``.
        overlays: More files, each winning over what came before.
        overrides: Arguments of ``--set``, winning over all files.
    """
    composer = _Composer()
    tree = composer.with_parents(main, path, ())
    if tree is None:
        return Composed(tree=None, sources=tuple(composer.sources), found=tuple(composer.found))
    for overlay in overlays:
        tree = composer.merged(tree, composer.file(overlay, start_of(main), (path,)))
    for number, text in enumerate(overrides, 1):
        tree = composer.merged(tree, composer.override(Source(f"--set {number}", text)))
    return Composed(tree=tree, sources=tuple(composer.sources), found=tuple(composer.found))


def merge(below: Node, above: Node) -> Node:
    """Lay one tree over another."""
    if isinstance(below, MapNode) and isinstance(above, MapNode):
        entries = dict(below.entries)
        for name, entry in above.entries.items():
            if name in entries:
                entry = replace(entry, node=merge(entries[name].node, entry.node))  # noqa: PLW2901 - the merged entry
            entries[name] = entry
        return replace(above, entries=entries)
    return replace(above, shadows=(*above.shadows, below, *below.shadows))


class _Composer:
    """Collects sources and findings while it reads."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.found: list[Diagnostic] = []

    def merged(self, below: MapNode | None, above: MapNode | None) -> MapNode | None:
        """Lay a tree over another; None is a tree that can't be read."""
        if below is None or above is None:
            return below or above
        both = merge(below, above)
        assert isinstance(both, MapNode)
        return both

    def with_parents(self, source: Source, path: Path, seen: tuple[Path, ...]) -> MapNode | None:
        """Read a source, and below it everything that it extends."""
        self.sources.append(source)
        root, found = parse_yaml(source)
        self.found += found
        if root is None and found:
            return None
        if not isinstance(root, MapNode):
            what = "empty" if root is None else "not a mapping of sections"
            self.found.append(
                SYNTAX.at(start_of(source), f"the file is {what}", help="begin with `recipe: 1`; see `recipe schema`")
            )
            return None
        below: MapNode | None = None
        for node in self._parents(root):
            below = self.merged(below, self._parent(node, path, (*seen, path.resolve())))
        own = replace(root, entries={k: e for k, e in root.entries.items() if k != "extends"})
        return self.merged(below, own)

    def file(self, path: Path, where: Span, seen: tuple[Path, ...]) -> MapNode | None:
        """Read a file that something at ``where`` asks for."""
        try:
            source = read_source(path)
        except OSError as error:
            self.found.append(EXTENDS.at(where, f"`{path}` can't be read: {error.strerror}", help="check the path"))
            return None
        except UnicodeDecodeError as error:
            self.found.append(not_text(path, error))
            return None
        return self.with_parents(source, path, seen)

    def override(self, source: Source) -> MapNode | None:
        """Read one argument of ``--set``: ``section.key=value``, the value in YAML."""
        left, equals, right = source.text.partition("=")
        names = left.strip().split(".")
        if not equals or not all(names):
            span = Span(source, 1, 1, 1, len(source.text) + 1)
            self.found.append(OVERRIDE.at(span, f"`{source.text}` has not the form section.key=value"))
            return None
        # Parsed at its own column, so that findings point into the argument.
        padded = Source(source.name, " " * len(left + equals) + right)
        node, found = parse_yaml(padded)
        self.found += [_moved(d, source) for d in found]
        node = _in_source(node, source) if node is not None else _null(source)
        key_span = Span(source, 1, 1, 1, len(left) + 1)
        for name in reversed(names):
            node = MapNode(entries={name: Entry(key_span=key_span, node=node)}, span=key_span.upto(node.span))
        assert isinstance(node, MapNode)
        self.sources.append(source)
        return node

    def _parents(self, root: MapNode) -> tuple[ScalarNode, ...]:
        if "extends" not in root.entries:
            return ()
        node = root.entries["extends"].node
        nodes = node.items if isinstance(node, ListNode) else (node,)
        good = tuple(n for n in nodes if isinstance(n, ScalarNode) and isinstance(n.value, str))
        for bad in (n for n in nodes if n not in good and not isinstance(n, BadNode)):
            self.found.append(WRONG_TYPE.at(bad.span, "`extends` takes a path or a list of paths", pointer="extends"))
        return good

    def _parent(self, node: ScalarNode, path: Path, seen: tuple[Path, ...]) -> MapNode | None:
        name = str(node.value)
        target = path.parent / name
        if name.startswith(BUILTIN):
            target = builtin_folder() / f"{name.removeprefix(BUILTIN)}.yaml"
        if not target.is_file():
            self.found.append(EXTENDS.at(node.span, f"`{name}` does not exist", pointer="extends", help=_known(name)))
            return None
        if target.resolve() in seen:
            self.found.append(EXTENDS.at(node.span, f"`{name}` builds on this recipe in turn", pointer="extends"))
            return None
        if len(seen) >= MAX_EXTENDS:
            self.found.append(EXTENDS.at(node.span, f"more than {MAX_EXTENDS} recipes build on each other"))
            return None
        return self.file(target, node.span, seen)


def _known(name: str) -> str:
    if not name.startswith(BUILTIN):
        return "the path starts at the folder of this file"
    names = sorted(BUILTIN + p.stem for p in builtin_folder().glob("*.yaml"))
    return "there is " + ", ".join(names)


def read_source(path: Path) -> Source:
    """Read a file as UTF-8 and drop a byte order mark.

    Raises:
        OSError: It can't be read.
        UnicodeDecodeError: It is not UTF-8.
    """
    return Source(str(path), path.read_bytes().decode("utf-8-sig"))


def not_text(path: Path, error: UnicodeDecodeError) -> Diagnostic:
    """Say where a file stops being UTF-8."""
    before = error.object[: error.start].decode("utf-8", errors="replace")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    source = Source(str(path), error.object.decode("utf-8", errors="replace"))
    span = Span(source, line, column, line, column + 1)
    message = f"the byte 0x{error.object[error.start]:02X} is not UTF-8"
    return SYNTAX.at(span, message, help="save the file as UTF-8")


def _null(source: Source) -> ScalarNode:
    end = len(source.text) + 1
    return ScalarNode(value=None, raw="", plain=True, span=Span(source, 1, end, 1, end))


def _in_source(node: Node, source: Source) -> Node:
    """Return the tree with its places in ``source``."""
    span = replace(node.span, source=source)
    if isinstance(node, MapNode):
        entries = {
            k: Entry(key_span=replace(e.key_span, source=source), node=_in_source(e.node, source))
            for k, e in node.entries.items()
        }
        return replace(node, entries=entries, span=span)
    if isinstance(node, ListNode):
        return replace(node, items=tuple(_in_source(item, source) for item in node.items), span=span)
    return replace(node, span=span)


def _moved(diagnostic: Diagnostic, source: Source) -> Diagnostic:
    return replace(diagnostic, span=replace(diagnostic.span, source=source))
