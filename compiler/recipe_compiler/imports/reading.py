"""Read a file of another trainer: JSON, TOML, YAML, a file of variables, or the arguments of a command."""

from collections.abc import Callable, Mapping
from pathlib import Path

from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.imports.problem import ImportProblemError
from recipe_compiler.imports.shell import parse_arguments, parse_variables
from recipe_compiler.imports.toml_tree import parse_toml
from recipe_compiler.passes.compose import read_source
from recipe_compiler.source import Source
from recipe_compiler.syntax.json_tree import parse_json
from recipe_compiler.syntax.tree import BadNode, ListNode, MapNode, Node, walk
from recipe_compiler.syntax.yaml_tree import parse_yaml


_Parsed = tuple[Node | None, list[Diagnostic]]

_PARSERS: Mapping[str, Callable[[Source], _Parsed]] = {
    ".json": lambda source: parse_json(source, deep=True),
    ".toml": parse_toml,
    ".yaml": parse_yaml,
    ".yml": parse_yaml,
    ".env": parse_variables,
    ".sh": parse_arguments,
    ".txt": parse_arguments,
    ".args": parse_arguments,
}


def read_map(path: Path) -> MapNode:
    """Read a file that holds a mapping.

    Raises:
        OSError: It can't be read.
        ImportProblemError: It is of an unknown kind, broken, or no mapping.
    """
    node = _read(path)
    if not isinstance(node, MapNode):
        raise ImportProblemError(f"{node.span}: a mapping of keys is expected here")
    return node


def read_list(path: Path) -> ListNode:
    """Read a file that holds a list of mappings.

    Raises:
        OSError: It can't be read.
        ImportProblemError: It is of an unknown kind, broken, or no such list.
    """
    node = _read(path)
    if not isinstance(node, ListNode):
        raise ImportProblemError(f"{node.span}: a list of mappings is expected here")
    for item in node.items:
        if not isinstance(item, MapNode):
            raise ImportProblemError(f"{item.span}: a mapping is expected here")
    return node


def _read(path: Path) -> Node:
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise ImportProblemError(f"{path}: no kind of file that is known here: {', '.join(_PARSERS)}")
    try:
        node, found = parse(read_source(path))
    except UnicodeDecodeError:
        raise ImportProblemError(f"{path}: this is not UTF-8 text") from None
    if found:
        raise ImportProblemError(f"{found[0].span}: {found[0].message}; {found[0].help}")
    if node is None:
        raise ImportProblemError(f"{path}: there is nothing in it")
    assert not any(isinstance(place.node, BadNode) for _, place in walk(node)), "what is bad was found"
    return node
