from typing import Annotated

import pytest

from recipe_schema.decode import DecodeError, decode_settings
from recipe_schema.definition import Spec, _spec as spec_of, definition, leaves
from recipe_schema.family import load_family
from recipe_schema.jsonschema import recipe_schema
from recipe_schema.marks import Family


FAMILY = load_family("sana-video-480p")


def test_every_key_says_what_it_is_for():
    for leaf in leaves():
        assert leaf.key.doc.endswith((".", ".)")), leaf.path


def test_every_key_is_read_by_a_stage_or_ignored_by_the_family():
    for leaf in leaves():
        assert leaf.key.reads or leaf.key.ignored or leaf.path in FAMILY.ignored(), leaf.path


def test_every_family_default_exists_and_every_ignored_setting_too():
    paths = {leaf.path for leaf in leaves()}

    assert set(FAMILY.ignored()) <= paths
    for leaf in leaves():
        if isinstance(leaf.key.default, Family):
            FAMILY.default(leaf.key.default.name)


def test_plain_defaults_have_the_type_of_their_key():
    kinds = {"boolean": bool, "integer": int, "number": float, "string": str}
    for leaf in leaves():
        if isinstance(leaf.key.default, bool | int | float | str):
            assert type(leaf.key.default) is kinds[leaf.spec.kind], leaf.path


def test_the_json_schema_is_valid_and_closed():
    import jsonschema

    schema = recipe_schema()

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    sections = [
        s for name, s in schema["properties"].items() if "properties" in s and name != "matrix"
    ]  # axes are free
    assert all(s["additionalProperties"] is False for s in sections)


def test_settings_that_miss_a_key_or_hold_one_too_many_are_refused():
    with pytest.raises(DecodeError, match="missing setting `name`"):
        decode_settings({})
    with pytest.raises(DecodeError, match="missing setting"):
        decode_settings({"name": "x", "description": "", "output_dir": "runs/x"})
    complete = {leaf.path.replace("*", "0"): None for leaf in leaves()}
    assert decode_settings(complete).data.datasets[0].id is None
    with pytest.raises(DecodeError, match="unknown setting `zebra`"):
        decode_settings({**complete, "zebra": 1})


def test_a_mark_that_the_definition_does_not_know_is_refused():
    with pytest.raises(TypeError, match="unknown mark 'even'"):
        spec_of(Annotated[int, "even"])


def test_types_are_said_in_words():
    assert Spec(kind="integer", ge=1, nullable=True).words() == "a whole number, at least 1, or null"
    assert Spec(kind="string", choices=("a", "b")).words() == "one of a, b"


def test_sections_have_a_line_of_description():
    for section in definition().children.values():
        if hasattr(section, "doc"):
            assert section.doc
