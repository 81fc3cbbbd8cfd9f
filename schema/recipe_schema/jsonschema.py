"""Derives the JSON Schema of the recipe language (draft 2020-12), for validation and for editors."""

from collections.abc import Mapping
from typing import Any

from recipe_schema.definition import Leaf, Section, Spec, Table, definition
from recipe_schema.marks import Derived, Family, Required
from recipe_schema.recipe import LANGUAGE_VERSION


SCHEMA_ID = "https://sana-recipes.dev/schema/recipe-1.json"

MATRIX_RULES = ("include", "exclude", "zip")
"""The keys of a matrix that are no axes."""

NAME_IN_TEMPLATES = "^[A-Za-z_][A-Za-z0-9_]*$"
"""The names that a template can write after a dot."""

_VALUE = {"type": ["string", "number", "boolean", "null"]}


def recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema of a recipe file."""
    root = _section(definition())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Sana Video recipe",
        **root,
        "required": ["recipe", *root.get("required", [])],
        "properties": {**_header(), **root["properties"]},
    }


def _header() -> dict[str, Any]:
    """Return the keys that the compiler uses up before there are settings."""
    return {
        "recipe": {
            "description": "Version of the recipe language.",
            "type": "integer",
            "enum": [LANGUAGE_VERSION],
        },
        "extends": {
            "description": "A recipe, or a list of recipes, that this one builds on: a path beside this file, or "
            "builtin:NAME. Later ones win over earlier ones, this file wins over all.",
            "type": ["string", "array"],
            "items": {"type": "string"},
        },
        "vars": {
            "description": "Values of your own, for use in templates: {{ vars.name }}.",
            "type": "object",
            "additionalProperties": _VALUE,
        },
        "env": {
            "description": "Variables of the environment that templates may use, as {{ env.NAME }}: a list of names, or "
            "names with defaults. One without a default has to be set. Their values are texts. Not for secrets: a plan "
            "holds whatever a template makes of them.",
            "type": ["array", "object"],
            "items": {"type": "string", "pattern": NAME_IN_TEMPLATES},
            "propertyNames": {"pattern": NAME_IN_TEMPLATES},
            "additionalProperties": _VALUE,
        },
        "matrix": _matrix(),
    }


def _matrix() -> dict[str, Any]:
    cell = {"type": "object", "additionalProperties": _VALUE}
    axes = {"type": "array", "items": {"type": "string"}}
    return {
        "description": "Makes several recipes of one: every combination of the axes is a variant, and templates use its "
        "values as {{ matrix.axis }}.",
        "type": "object",
        "properties": {
            "include": {"description": "More variants; each gives every axis.", "type": "array", "items": cell},
            "exclude": {
                "description": "Variants to leave out: all that have these values.",
                "type": "array",
                "items": cell,
            },
            "zip": {
                "description": "Groups of axes that vary together: the first value of each, the second of each, …",
                "type": "array",
                "items": {**axes, "type": ["string", "array"]},
            },
        },
        "propertyNames": {"pattern": NAME_IN_TEMPLATES},
        "additionalProperties": {"description": "An axis.", "type": "array", "minItems": 1, "items": _VALUE},
    }


def _section(section: Section) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, child in section.children.items():
        properties[name] = _node(child)
        if "array" in properties[name]["type"]:
            properties[f"{name}+"] = _appending(name, child.path, one_or_many="else" in properties[name])
    required = [name for name, child in section.children.items() if _is_required(child)]
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    if section.path:
        schema = {"description": section.doc, **schema}
    if required:
        schema["required"] = required
    return schema


def _is_required(node: Leaf | Section | Table) -> bool:
    """Say whether a key has to be given: it has no default, or holds a key that has none."""
    if isinstance(node, Section):
        return any(_is_required(child) for child in node.children.values())
    return isinstance(node.key.default, Required)


def _appending(name: str, path: str, *, one_or_many: bool) -> dict[str, Any]:
    """Return what an editor should know of ``key+``, which is gone when a recipe is validated."""
    pointer = "".join("/items" if part == "*" else f"/properties/{part}" for part in path.split("."))
    description = f"Appends to `{name}` of the recipes that this one builds on."
    if one_or_many:
        return {"description": description, "not": {"type": "null"}, "$ref": f"#{pointer}"}
    return {"description": description, "type": "array", "items": {"$ref": f"#{pointer}/items"}}


def _node(node: Leaf | Section | Table) -> dict[str, Any]:
    if isinstance(node, Section):
        return _section(node)
    if isinstance(node, Table):
        least = {"minItems": 1} if isinstance(node.key.default, Required) else {}
        return {"description": node.key.doc, "type": "array", **least, "items": _section(node.item)}
    return _leaf(node)


def _leaf(leaf: Leaf) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": _description(leaf)}
    schema.update(_container(leaf.spec))
    default = leaf.key.default
    if not isinstance(default, Required | Family | Derived):
        schema["default"] = list(default) if isinstance(default, tuple) else default
    return schema


def _description(leaf: Leaf) -> str:
    text = leaf.key.doc
    if leaf.key.unit is not None:
        text += f" Unit: {leaf.key.unit}."
    if isinstance(leaf.key.default, Derived):
        text += f" Default: {leaf.key.default.formula}."
    if isinstance(leaf.key.default, Family):
        text += " Default: the model family's."
    if leaf.key.ignored is not None:
        text += f" {leaf.key.ignored[0].upper()}{leaf.key.ignored[1:]}."
    if leaf.key.aka is not None:
        text += f" In SimpleTuner: {leaf.key.aka}."
    return text


def _container(spec: Spec) -> dict[str, Any]:
    item = _scalar(spec)
    if spec.container == "list":
        several = {"type": "array", "minItems": 1, "items": item}
        if spec.one_or_many:
            kinds = [spec.kind, "array", *(["null"] if spec.nullable else [])]
            return {"type": kinds, "if": {"type": spec.kind}, "then": item, "else": {**several, "type": kinds}}
        return {**several, "type": ["array", "null"]} if spec.nullable else several
    if spec.container == "map":
        assert spec.key_pattern is not None, "the names of every map have a form"
        names = {"pattern": spec.key_pattern.regex}
        own = ["object", "string"] if spec.or_file else "object"
        return {"type": own, "additionalProperties": item, "propertyNames": names}
    return item


def _scalar(spec: Spec) -> dict[str, Any]:
    nullable = spec.nullable and spec.container is None
    schema: dict[str, Any] = {"type": [spec.kind, "null"] if nullable else spec.kind}
    if spec.choices:
        schema["enum"] = [*spec.choices, None] if nullable else list(spec.choices)
    limits: Mapping[str, float | None] = {
        "minimum": spec.ge,
        "exclusiveMinimum": spec.gt,
        "maximum": spec.le,
        "exclusiveMaximum": spec.lt,
    }
    schema.update({name: limit for name, limit in limits.items() if limit is not None})
    if spec.pattern is not None:
        schema["pattern"] = spec.pattern.regex
    return schema
