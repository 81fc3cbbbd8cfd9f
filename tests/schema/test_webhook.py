import json
from pathlib import Path

import jsonschema
import pytest

from recipe_schema.events import Warned
from recipe_schema.webhook import _type as type_of, payload, webhook_schema


def test_the_published_schema_is_fresh():
    path = Path(__file__).parents[2] / "schema" / "webhook.schema.json"

    assert json.loads(path.read_text(encoding="utf-8")) == webhook_schema(), "run `make schema` and commit"
    jsonschema.Draft202012Validator.check_schema(webhook_schema())


def test_a_payload_is_what_the_schema_says():
    message = payload(
        Warned(message="odd"), time="2026-01-02T03:04:05.678Z", run="a", plan_id="sha256:00", step=3, message="w: odd"
    )

    jsonschema.validate(json.loads(json.dumps(message)), webhook_schema())
    assert message["level"] == "warning"
    assert message["event"] == {"version": 1, "event": "warning", "message": "odd"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**message, "level": "loud"}, webhook_schema())


def test_every_type_of_a_field_has_its_json_schema():
    assert type_of(tuple[float, ...]) == {"type": "array", "items": {"type": "number"}}
    assert type_of(int | None) == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    with pytest.raises(TypeError, match="is no type that events have"):
        type_of(dict[str, int])
