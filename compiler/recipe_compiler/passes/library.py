"""Prompt libraries: where a recipe names a file of prompts, the prompts themselves take the place of its path."""

from pathlib import Path

from recipe_compiler.diagnostics.codes import PROMPT_LIBRARY
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.passes.compose import not_text, read_source
from recipe_compiler.source import Source, start_of
from recipe_compiler.suggest import near
from recipe_compiler.syntax.tree import MapNode, Node, Path as TreePath, ScalarNode
from recipe_compiler.syntax.yaml_tree import parse_yaml
from recipe_schema.record import record, replace


SECTION, KEY = "validation", "prompt_library"
_JSON = ".json"
_ENDINGS = (_JSON, ".yaml", ".yml")


@record
class Included:
    """A tree with its prompts in place.

    Attributes:
        tree: The tree.
        sources: The files that were read.
        found: What is wrong with them.
        bad: The paths about which something was found.
    """

    tree: MapNode
    sources: tuple[Source, ...] = ()
    found: tuple[Diagnostic, ...] = ()
    bad: frozenset[TreePath] = frozenset()


def include_library(tree: MapNode, root: Path) -> Included:
    """Read the file that ``validation.prompt_library`` names, if it names one.

    Args:
        tree: The tree, templates evaluated.
        root: The folder at which relative paths start.
    """
    section = tree.entries.get(SECTION)
    if section is None or not isinstance(section.node, MapNode):
        return Included(tree=tree)
    entry = section.node.entries.get(KEY)
    if entry is None or not isinstance(entry.node, ScalarNode) or not isinstance(entry.node.value, str):
        return Included(tree=tree)
    sources, prompts, found = _read(root / entry.node.value, entry.node)
    entries = dict(section.node.entries)
    if prompts is None:
        del entries[KEY]
    else:
        entries[KEY] = replace(entry, node=prompts)
    whole = {**tree.entries, SECTION: replace(section, node=replace(section.node, entries=entries))}
    return Included(
        tree=replace(tree, entries=whole),
        sources=sources,
        found=found,
        bad=frozenset({(SECTION, KEY)}) if prompts is None else frozenset(),
    )


def _read(file: Path, named: ScalarNode) -> tuple[tuple[Source, ...], Node | None, tuple[Diagnostic, ...]]:
    pointer = f"{SECTION}.{KEY}"
    try:
        source = read_source(file)
    except UnicodeDecodeError as error:
        return (), None, (not_text(file, error),)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "no path can look like that"
        message = f"the prompt library `{named.value}` can't be read: {reason}"
        return (), None, (PROMPT_LIBRARY.at(named.span, message, pointer=pointer, help=_advice(file)),)
    node, found = _parsed(source, file)
    if isinstance(node, MapNode):
        shadows = (*node.shadows, replace(named, shadows=()), *named.shadows)
        return (source,), replace(node, shadows=shadows), tuple(found)
    if not found:
        message = "a prompt library is a mapping of nicknames to prompts"
        found = [PROMPT_LIBRARY.at(start_of(source), message, pointer=pointer, help='as in {"fox": "a red fox runs"}')]
    return (source,), None, tuple(found)


def _parsed(source: Source, file: Path) -> tuple[Node | None, list[Diagnostic]]:
    if file.suffix.lower() != _JSON:
        return parse_yaml(source)
    # Only a recipe with such a file needs what reads it.
    from recipe_compiler.syntax.json_tree import parse_json  # noqa: PLC0415

    return parse_json(source)


def _advice(file: Path) -> str:
    meant = near(file.name, _libraries(file.parent)) if not file.is_dir() else None
    return (
        f"did you mean `{meant}`?" if meant is not None else "name a JSON or YAML file; its path starts at the recipe"
    )


def _libraries(folder: Path) -> list[str]:
    """Return the names of files that may be prompt libraries; none if the folder can't be listed."""
    try:
        return sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
    except (OSError, ValueError):
        return []
