"""Lets a JSON Schema take templates: an editor sees a recipe before they are evaluated, a lint after."""

from collections.abc import Mapping
from typing import Any


_TEMPLATE = {
    "description": "A template, evaluated before the value is checked.",
    "type": "string",
    "pattern": r"\{\{",
}
_REFERENCE = {"$ref": "#/$defs/template"}
_WITHOUT = ("recipe", "extends", "vars", "env", "matrix")
"""Keys of a recipe that are read before templates, or hold anything."""

_OF_THE_KEY = ("description", "default", "examples")
_SCALARS = {"string", "integer", "number", "boolean", "null"}


def with_templates(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a recipe in which every value of a setting may be a template.

    Args:
        schema: Of a recipe whose templates are evaluated.
    """
    properties = {name: node if name in _WITHOUT else _opened(node) for name, node in schema["properties"].items()}
    return {**schema, "properties": properties, "$defs": {"template": _TEMPLATE}}


def _opened(node: Mapping[str, Any]) -> dict[str, Any]:
    """Let values below a node be templates, and the node's own if it is no text of any kind already."""
    opened = {key: _opened(value) if key in ("items", "then", "else") else value for key, value in node.items()}
    if "properties" in node:
        opened["properties"] = {name: _opened(child) for name, child in node["properties"].items()}
    if isinstance(node.get("additionalProperties"), dict):
        opened["additionalProperties"] = _opened(node["additionalProperties"])
    if not _is_closed(node):
        return opened
    key = {name: opened.pop(name) for name in _OF_THE_KEY if name in opened}
    return {**key, "anyOf": [opened, _REFERENCE]}


def _is_closed(node: Mapping[str, Any]) -> bool:
    """Say whether a node is a single value that not every text fits."""
    types = set(node["type"]) if isinstance(node.get("type"), list) else {node.get("type")}
    return types <= _SCALARS and ("string" not in types or "enum" in node or "pattern" in node)
