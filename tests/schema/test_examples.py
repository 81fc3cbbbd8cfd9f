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
        if isinstance(schema, dict) and schema.get("anyOf", [None])[-1] == {"$ref": "#/$defs/template"}:
            told = {name: part for name, part in schema.items() if name != "anyOf"}
            return without({**told, **schema["anyOf"][0]})
        if isinstance(schema, dict):
            return {name: without(part) for name, part in schema.items() if name not in ("examples", "default")}
        return [without(part) for part in schema] if isinstance(schema, list) else schema

    evaluated = {name: part for name, part in SCHEMA.items() if name != "$defs"}
    assert without(evaluated) == without(recipe_schema())


@pytest.mark.parametrize(
    ("section", "good"),
    [
        ("train", {"max_steps": "{{ matrix.steps }}", "mixed_precision": "{{ vars.precision }}"}),
        ("optimizer", {"name": "{{ matrix.name }}", "learning_rate": "{{ 5e-5 * vars.scale }}"}),
        ("tracking", {"report_to": "{{ vars.tracker }}"}),
        ("tracking", {"report_to": ["tensorboard", "{{ vars.tracker }}"]}),
        ("data", {"datasets": [{"id": "a", "repeats": "{{ matrix.r }}", "video": {"fps": "{{ vars.fps }}"}}]}),
        ("data", {"datasets": [{"id": "a"}], "buckets": ["{{ vars.width }}x480"]}),
    ],
)
def test_editors_take_a_template_in_place_of_a_value_and_lints_what_came_of_it(section, good):
    recipe = {"recipe": 1, section: good}
    faults = list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(recipe))
    strict = list(jsonschema.Draft202012Validator(recipe_schema()).iter_errors(recipe))
    plain = json.loads(json.dumps(recipe).replace("{{", "<<"))

    assert not [fault for fault in faults if list(fault.path)[:1] == [section]]
    assert [fault for fault in strict if list(fault.path)[:1] == [section]]
    assert [f for f in jsonschema.Draft202012Validator(SCHEMA).iter_errors(plain) if list(f.path)[:1] == [section]]
    assert "{{" in json.dumps(SCHEMA["properties"]["vars"])  # it says how they are written


def test_what_is_read_before_templates_takes_none_in_an_editor():
    for header in ({"recipe": "{{ 1 }}"}, {"recipe": 1, "env": ["{{ vars.name }}"]}):
        assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(header)
