"""Expand: templates inside values. Without a ``{{`` anywhere, Jinja is not even loaded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from recipe_compiler.diagnostics.codes import TEMPLATE
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.source import Span
from recipe_compiler.syntax.errors import TemplateError
from recipe_compiler.syntax.tree import BadNode, Entry, ListNode, MapNode, Node, Scalar, ScalarNode


_TEMPLATE = re.compile(r"\$?\{\{(.*?)\}\}", re.DOTALL)


def expand(tree: MapNode) -> tuple[MapNode, tuple[Diagnostic, ...]]:
    """Evaluate every template of a tree.

    A value that is one whole ``{{ expression }}`` keeps the type of the expression; otherwise results are put
    into the text. Available are ``vars`` (those above see no later ones) and ``recipe`` (its name and description).
    """
    if not _has_templates(tree):
        return tree, ()
    expander = _Expander()
    variables: dict[str, Entry] = {}
    if "vars" in tree.entries and isinstance(tree.entries["vars"].node, MapNode):
        entry = tree.entries["vars"]
        assert isinstance(entry.node, MapNode)
        for name, var in entry.node.entries.items():
            variables[name] = replace(var, node=expander.node(var.node))
            expander.names["vars"][name] = _value(variables[name].node)
        tree = replace(
            tree, entries={**tree.entries, "vars": replace(entry, node=replace(entry.node, entries=variables))}
        )
    for name in ("name", "description"):
        if name in tree.entries:
            expander.names["recipe"][name] = _value(tree.entries[name].node)
    expanded = expander.node(tree, skip="vars")
    assert isinstance(expanded, MapNode)
    return expanded, tuple(expander.found)


def _value(node: Node) -> Scalar:
    return node.value if isinstance(node, ScalarNode) else None


def _has_templates(node: Node) -> bool:
    if isinstance(node, MapNode):
        return any(_has_templates(entry.node) for entry in node.entries.values())
    if isinstance(node, ListNode):
        return any(_has_templates(item) for item in node.items)
    return isinstance(node, ScalarNode) and isinstance(node.value, str) and "{{" in node.value


@dataclass(slots=True)
class _Expander:
    names: dict[str, dict[str, Any]] = field(default_factory=lambda: {"vars": {}, "recipe": {}})
    found: list[Diagnostic] = field(default_factory=list)

    def node(self, node: Node, skip: str | None = None) -> Node:
        if isinstance(node, MapNode):
            entries = {
                name: entry if name == skip else replace(entry, node=self.node(entry.node))
                for name, entry in node.entries.items()
            }
            return replace(node, entries=entries)
        if isinstance(node, ListNode):
            return replace(node, items=tuple(self.node(item) for item in node.items))
        if isinstance(node, ScalarNode) and isinstance(node.value, str) and "{{" in node.value:
            return self._scalar(node, node.value)
        return node

    def _scalar(self, node: ScalarNode, text: str) -> Node:
        try:
            value = render(text, self.names)
        except TemplateError as error:
            span = _place(node, error.offset)
            advice = "available are vars.NAME and recipe.name; write other braces outside of templates"
            self.found.append(TEMPLATE.at(span, str(error), help=advice))
            return BadNode(span=node.span, shadows=node.shadows)
        return replace(node, value=value, template=text)


def _place(node: ScalarNode, offset: int) -> Span:
    """Point at a character of a scalar's text, as far as its style allows."""
    span = node.span
    if span.line != span.end_line or "\n" in node.raw:
        return span
    column = span.column + (0 if node.plain else 1) + offset
    return replace(span, column=min(column, span.end_column - 1))


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
