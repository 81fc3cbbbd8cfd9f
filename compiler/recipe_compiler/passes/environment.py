"""Variables of the environment. A recipe sees those that it declares, and only as texts in its templates."""

from collections.abc import Mapping
from typing import Any

from recipe_compiler.diagnostics.codes import NOT_SET, TEMPLATE
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.syntax.errors import BROKEN
from recipe_compiler.syntax.tree import Entry, ListNode, MapNode, Node, ScalarNode
from recipe_schema.record import replace


def declarations(node: Node) -> Node:
    """Write ``env: [NAME]`` as ``env: {NAME: null}``, so that the declarations of several files merge.

    A list that holds anything but names is left as it is, for validation.
    """
    if not isinstance(node, ListNode):
        return node
    entries: dict[str, Entry] = {}
    for item in node.items:
        if not isinstance(item, ScalarNode) or not isinstance(item.value, str):
            return node
        entries[item.value] = Entry(key_span=item.span, node=replace(item, value=None, raw="null", plain=True))
    return MapNode(entries=entries, span=node.span)


def read_environment(tree: MapNode, given: Mapping[str, str]) -> tuple[dict[str, Any], tuple[Diagnostic, ...]]:
    """Look up what a recipe declares.

    Args:
        tree: The recipe.
        given: The variables of the environment.

    Returns:
        The values for ``env.NAME``, and a finding for each that has none. Findings never hold a value.
    """
    if "env" not in tree.entries:
        return {}, ()
    node = tree.entries["env"].node
    values: dict[str, Any] = {}
    found: list[Diagnostic] = []
    for name, entry in node.entries.items() if isinstance(node, MapNode) else ():
        value, problem = _look_up(name, entry, given)
        values[name] = BROKEN if value is None else value
        found += [problem] if problem is not None else []
    return values, tuple(found)


def _look_up(name: str, entry: Entry, given: Mapping[str, str]) -> tuple[str | None, Diagnostic | None]:
    pointer = f"env.{name}"
    if name in given:
        value = given[name]
        if value.isascii() or value.encode(errors="replace").decode() == value:
            return value, None
        return None, NOT_SET.at(
            entry.key_span, f"the variable `{name}` is not UTF-8", pointer=pointer, help="set it anew"
        )
    default = entry.node
    if not isinstance(default, ScalarNode):
        return None, None  # validation says it
    if default.value is None:
        advice = f"set it, or declare a default: `env: {{{name}: …}}`"
        return None, NOT_SET.at(entry.key_span, f"the variable `{name}` is not set", pointer=pointer, help=advice)
    if "{{" in default.raw:
        advice = "a default is a plain text"
        return None, TEMPLATE.at(default.span, "a default can't be a template", pointer=pointer, help=advice)
    return default.raw, None
