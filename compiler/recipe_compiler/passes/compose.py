"""Compose: a recipe, what it extends, overlays and ``--set`` become one tree.

A file counts once, at the lowest place where something builds on it, however many build on it.
"""

from collections.abc import Sequence
from pathlib import Path

from recipe_compiler.diagnostics.codes import EXTENDS, SYNTAX, WRONG_TYPE
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.passes.environment import declarations
from recipe_compiler.passes.extends import BUILTIN, NoFile, locate
from recipe_compiler.passes.header import right_header
from recipe_compiler.passes.merge import APPEND, merge, settle
from recipe_compiler.passes.names import Renamer
from recipe_compiler.passes.rehome import rehome
from recipe_compiler.source import Source, Span, start_of
from recipe_compiler.syntax.rewrite import new_text
from recipe_compiler.syntax.tree import BadNode, ListNode, MapNode, Path as TreePath, ScalarNode
from recipe_compiler.syntax.yaml_tree import parse_yaml
from recipe_schema.definition import definition
from recipe_schema.record import record, replace


MAX_EXTENDS = 16
"""How deep recipes may build on each other."""


@record
class Composed:
    """One tree, and every source that went into it.

    Attributes:
        tree: The merged tree; None if a source can't be read as a mapping.
        sources: In the order in which they were read, the recipe itself first.
        found: What was found on the way.
        bad: Paths about which something was found, and that are not in the tree.
    """

    tree: MapNode | None
    sources: tuple[Source, ...]
    found: tuple[Diagnostic, ...]
    bad: frozenset[TreePath] = frozenset()

    @property
    def whole(self) -> bool:
        """Every source was read. If not, what seems to be missing may stand in one that was not."""
        return not any(d.code in (SYNTAX.code, EXTENDS.code) or d.pointer == "extends" for d in self.found)


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
        tree = composer.merged(tree, composer.file(overlay, start_of(main), ()))
    tree = composer.settled(tree)
    if overrides:
        # Only a command with `--set` needs what reads its arguments.
        from recipe_compiler.passes.override import override  # noqa: PLC0415

        for number, text in enumerate(overrides, 1):
            source = Source(f"--set {number}", text)
            composer.sources.append(source)
            tree = composer.settled(override(tree, source, composer.found))
    return Composed(
        tree=tree, sources=tuple(composer.sources), found=tuple(composer.found), bad=frozenset(composer.bad)
    )


class _Composer:
    """Collects sources and findings while it reads."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.found: list[Diagnostic] = []
        self.bad: set[TreePath] = set()
        self._read: set[Path] = set()

    def merged(self, below: MapNode, above: MapNode | None) -> MapNode:
        """Lay a tree over another; None is a tree that can't be read."""
        if above is None:
            return below
        both = merge(below, above, self.found)
        assert isinstance(both, MapNode)
        return both

    def settled(self, tree: MapNode) -> MapNode:
        """Report what still waits to be appended to something."""
        if not any(APPEND in source.text for source in self.sources):
            return tree
        root = settle(tree, self.found)
        assert isinstance(root, MapNode)
        return root

    def with_parents(self, source: Source, path: Path, above: tuple[Path, ...]) -> MapNode | None:
        """Read a source, and below it everything that it extends.

        Args:
            source: The text.
            path: Where it is.
            above: The files that build on it, outermost first.
        """
        self.sources.append(source)
        self._read.add(path.resolve())
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
        root = right_header(root, self.found)
        right = Renamer(self.found, self.bad, keeps_unknown=True).section(definition(), root, ())
        assert isinstance(right, MapNode)
        root = right
        tree = MapNode(entries={}, span=root.span)
        for node in self._parents(root):
            tree = self.merged(tree, self._parent(node, path, (*above, path.resolve())))
        own = {name: entry for name, entry in root.entries.items() if name != "extends"}
        if "env" in own:
            own["env"] = replace(own["env"], node=declarations(own["env"].node))
        return self.merged(tree, replace(root, entries=own))

    def file(self, path: Path, where: Span, above: tuple[Path, ...]) -> MapNode | None:
        """Read a file that something at ``where`` asks for."""
        try:
            source = read_source(path)
        except OSError as error:
            self.found.append(EXTENDS.at(where, f"`{path}` can't be read: {error.strerror}", help="check the path"))
            return None
        except UnicodeDecodeError as error:
            self.found.append(not_text(path, error))
            return None
        return self.with_parents(source, path, above)

    def _parents(self, root: MapNode) -> tuple[ScalarNode, ...]:
        if "extends" not in root.entries:
            return ()
        node = root.entries["extends"].node
        nodes = node.items if isinstance(node, ListNode) else (node,)
        good = tuple(n for n in nodes if isinstance(n, ScalarNode) and isinstance(n.value, str))
        for bad in (n for n in nodes if n not in good and not isinstance(n, BadNode)):
            self.found.append(WRONG_TYPE.at(bad.span, "`extends` takes a path or a list of paths", pointer="extends"))
        return good

    def _parent(self, node: ScalarNode, path: Path, above: tuple[Path, ...]) -> MapNode | None:
        name = str(node.value)
        target = locate(name, path.parent)
        if isinstance(target, NoFile):
            fix = new_text(node.span, target.fix) if target.fix is not None else None
            self._refuse(node, target.problem, target.help, fix)
            return None
        if target.resolve() in above:
            circle = [*above[above.index(target.resolve()) :], target]
            self._refuse(node, f"`{name}` builds on this recipe in turn", " → ".join(file.name for file in circle))
            return None
        if target.resolve() in self._read:
            return None
        if len(above) >= MAX_EXTENDS:
            self._refuse(node, f"more than {MAX_EXTENDS} recipes build on each other", "write some of them into one")
            return None
        tree = self.file(target, node.span, above)
        return rehome(tree, target.parent) if tree is not None and name.startswith(BUILTIN) else tree

    def _refuse(self, node: ScalarNode, message: str, advice: str, fix: str | None = None) -> None:
        self.found.append(EXTENDS.at(node.span, message, pointer="extends", help=advice, fix=fix))


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
