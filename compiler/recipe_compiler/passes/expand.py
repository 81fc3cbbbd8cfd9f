"""Expand: templates inside values. Without a ``{{`` anywhere, Jinja is not even loaded."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from recipe_compiler.diagnostics.codes import TEMPLATE
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.source import Span
from recipe_compiler.syntax.errors import BROKEN, BrokenNameError, TemplateError
from recipe_compiler.syntax.tree import BadNode, Entry, ListNode, MapNode, Node, Scalar, ScalarNode
from recipe_schema.record import replace


_TEMPLATE = re.compile(r"\$?\{\{(.*?)\}\}", re.DOTALL)

_GROUPS = ("vars", "env", "matrix", "recipe")

_ADVICE = "there is vars.NAME, env.NAME, matrix.NAME and recipe.name; `recipe explain R006` says what templates can do"


def expand(
    tree: MapNode, names: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> tuple[MapNode, tuple[Diagnostic, ...]]:
    """Evaluate every template of a tree.

    A value that is one whole ``{{ expression }}`` keeps the type of the expression; otherwise results are put
    into the text. Available are ``vars`` (those above see no later ones), ``recipe`` (its name and description), and
    what the caller gives.

    Args:
        tree: The recipe.
        names: Values for ``env``, ``matrix`` and ``recipe``. One that is `BROKEN` makes what names it bad in silence.
    """
    if not _has_templates(tree):
        return tree, ()
    expander = _Expander({group: dict(names[group]) if group in names else {} for group in _GROUPS})
    entries = dict(tree.entries)
    if "vars" in entries and isinstance(entries["vars"].node, MapNode):
        entries["vars"] = replace(entries["vars"], node=expander.variables(entries["vars"].node))
    for name in ("name", "description"):
        if name in entries:
            entries[name] = replace(entries[name], node=expander.node(entries[name].node))
            expander.names["recipe"][name] = _value(entries[name].node)
    done = ("vars", "name", "description", "env", "matrix")
    for name, entry in entries.items():
        if name not in done:
            entries[name] = replace(entry, node=expander.node(entry.node))
    return replace(tree, entries=entries), tuple(expander.found)


def _value(node: Node) -> Any:
    return node.value if isinstance(node, ScalarNode) else BROKEN


def _has_templates(node: Node) -> bool:
    if isinstance(node, MapNode):
        return any(_has_templates(entry.node) for entry in node.entries.values())
    if isinstance(node, ListNode):
        return any(_has_templates(item) for item in node.items)
    return isinstance(node, ScalarNode) and isinstance(node.value, str) and "{{" in node.value


class _Expander:
    def __init__(self, names: dict[str, dict[str, Any]]) -> None:
        self.names = names
        self.found: list[Diagnostic] = []

    def variables(self, node: MapNode) -> MapNode:
        """Expand ``vars``, each seeing those above it."""
        entries: dict[str, Entry] = {}
        for name, entry in node.entries.items():
            entries[name] = replace(entry, node=self.node(entry.node))
            self.names["vars"][name] = _value(entries[name].node)
        return replace(node, entries=entries)

    def node(self, node: Node) -> Node:
        """Expand everything below a node."""
        if isinstance(node, MapNode):
            entries = {name: replace(entry, node=self.node(entry.node)) for name, entry in node.entries.items()}
            return replace(node, entries=entries)
        if isinstance(node, ListNode):
            return replace(node, items=tuple(self.node(item) for item in node.items))
        if isinstance(node, ScalarNode) and isinstance(node.value, str) and "{{" in node.value:
            return self._scalar(node, node.value)
        return node

    def _scalar(self, node: ScalarNode, text: str) -> Node:
        try:
            value = render(text, self.names)
        except BrokenNameError:
            return BadNode(span=node.span, shadows=node.shadows)
        except TemplateError as error:
            span = _place(node, error.offset)
            self.found.append(TEMPLATE.at(span, str(error), help=error.help or _ADVICE))
            return BadNode(span=node.span, shadows=node.shadows)
        return replace(node, value=value, template=text)


def _place(node: ScalarNode, offset: int) -> Span:
    """Point at a character of a scalar's text, as far as its style allows."""
    span = node.span
    if span.line != span.end_line or "\n" in node.raw:
        return span
    column = span.column + (0 if node.plain else 1) + offset
    return span._replace(column=min(column, span.end_column - 1))


def render(text: str, names: Mapping[str, Mapping[str, Any]]) -> Scalar:
    """Evaluate the templates of one text.

    Raises:
        TemplateError: The expression is wrong, not allowed, or names something that does not exist.
    """
    # Jinja costs as much to import as the whole of a lint, so only recipes with templates pay for it.
    from recipe_compiler.syntax import expressions  # noqa: PLC0415

    matches = list(_TEMPLATE.finditer(text))
    rest = _TEMPLATE.sub("", text)
    if "{{" in rest or "}}" in rest:
        raise TemplateError("a template has no end: `{{` without `}}`", max(text.find("{{"), 0))
    if len(matches) == 1 and matches[0].group(0) == text.strip():
        return expressions.evaluate(matches[0].group(1), names, offset=matches[0].start(1))
    parts, position = [], 0
    for match in matches:
        value = expressions.evaluate(match.group(1), names, offset=match.start(1))
        parts += [text[position : match.start()], _as_text(value)]
        position = match.end()
    return "".join([*parts, text[position:]])


def _as_text(value: Scalar) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
