"""The JSON Schema tells editors of every key: what it is for, what it has if nobody gives it, and what it may be."""

import json
from pathlib import Path

import jsonschema
import pytest

from recipe_schema.definition import Leaf, Section, Table, definition, leaf_index
from recipe_schema.examples import EXAMPLES, editor_schema, examples
from recipe_schema.jsonschema import recipe_schema
from recipe_schema.marks import Derived, Required


SCHEMA = editor_schema()


def parts(node=None, schema=SCHEMA):
    """Yield every section, table and key with its part of the schema."""
    node = node if node is not None else definition()
    if node.path:
        yield node, schema
    if isinstance(node, Section):
        for name, child in node.children.items():
            yield from parts(child, schema["properties"][name])
    elif isinstance(node, Table):
        yield from parts(node.item, schema["items"])


@pytest.mark.parametrize(("node", "schema"), list(parts()), ids=lambda part: getattr(part, "path", ""))
def test_a_part_of_the_language_is_explained(node, schema):
    assert len(schema["description"]) >= 10
    if not isinstance(node, Leaf):
        return
    default = node.key.default
    if isinstance(default, Derived):
        assert f"Default: {default.formula}." in schema["description"]
    elif not isinstance(default, Required):
        assert "default" in schema
        jsonschema.validate(schema["default"], {**schema, "minItems": 0})
    assert "examples" in schema or node.key.ignored is not None
    for example in schema.get("examples", ()):
        jsonschema.validate(example, schema)
        assert example not in ("", [], {})


def test_the_keys_of_the_header_are_explained():
    for name, schema in SCHEMA["properties"].items():
        assert len(schema["description"]) >= 10, name


def test_examples_are_of_keys_that_there_are():
    assert set(EXAMPLES) <= set(leaf_index())
    for path, shown in EXAMPLES.items():
        assert examples(leaf_index()[path]) == shown
        assert leaf_index()[path].key.ignored is None, path


def test_the_file_in_the_repository_is_this_schema():
    file = Path(__file__).parents[2] / "schema" / "recipe.schema.json"
    assert json.loads(file.read_text(encoding="utf-8")) == SCHEMA, "run `make schema`"


def test_editors_and_lints_take_the_same_recipes():
    def without(schema):
        if isinstance(schema, dict):
            return {name: without(part) for name, part in schema.items() if name not in ("examples", "default")}
        return [without(part) for part in schema] if isinstance(schema, list) else schema

    assert without(SCHEMA) == without(recipe_schema())
