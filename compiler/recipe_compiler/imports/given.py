"""What the files of another trainer say: one key, its value, and where it stands."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from recipe_compiler.imports.problem import ImportProblemError
from recipe_compiler.source import Span
from recipe_compiler.syntax.tree import ListNode, MapNode, Node, Path as TreePath, dotted, to_plain
from recipe_schema.record import record, replace


_VARIABLE = re.compile(r"\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


@record
class Given:
    """One key of a file.

    Attributes:
        key: Its path in the file.
        value: A plain value: a scalar, or a list without mappings in it.
        span: Where it stands.
        written: The value as written, if a variable of the environment stands in it.
    """

    key: TreePath
    value: Any
    span: Span
    written: str | None = None

    @property
    def name(self) -> str:
        """Its path as people write it, without the dashes of an argument."""
        return dotted(self.key).lstrip("-")

    @property
    def origin(self) -> str:
        """Where it stands, and its path: ``config.json:12 train_batch_size``."""
        return f"{self.span.source.name}:{self.span.line} {self.name}"


def given_in(node: Node) -> Iterator[Given]:
    """Yield every key of a file that has a value, in the order of the file. What is empty is a value too."""
    yield from _below(node, (), node.span)


def _below(node: Node, path: TreePath, span: Span) -> Iterator[Given]:
    if isinstance(node, MapNode) and node.entries:
        for name, entry in node.entries.items():
            yield from _below(entry.node, (*path, name), entry.key_span)
    elif isinstance(node, ListNode) and _holds_maps(node):
        for index, item in enumerate(node.items):
            yield from _below(item, (*path, index), item.span)
    else:
        yield Given(key=path, value=to_plain(node), span=span)


def _holds_maps(node: Node) -> bool:
    return isinstance(node, MapNode) or (isinstance(node, ListNode) and any(map(_holds_maps, node.items)))


def with_variables(given: Given, variable: Callable[[str], str | None]) -> Given:
    """Put the values of variables of the environment in the place of ``{env:NAME}``.

    Args:
        given: The key.
        variable: Gives the value of a variable; None if it is not set.

    Raises:
        ImportProblemError: A variable is not set.
    """
    if not isinstance(given.value, str) or not _VARIABLE.search(given.value):
        return given

    def value(match: re.Match[str]) -> str:
        found = variable(match[1])
        if found is None:
            raise ImportProblemError(f"{given.span}: `{given.name}` needs the variable {match[1]}, which is not set")
        return found

    return replace(given, value=_VARIABLE.sub(value, given.value), written=given.value)
