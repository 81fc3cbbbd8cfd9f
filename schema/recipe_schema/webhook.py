"""What a webhook of type ``raw`` gets: one JSON object for each event, and the JSON Schema of it."""

import inspect
from dataclasses import asdict, fields
from types import NoneType, UnionType
from typing import Any, Literal, TypedDict, get_args, get_origin

from recipe_schema.events import EVENTS_VERSION, LEVELS, Event


WEBHOOK_VERSION = 1
"""Version of the format. It is raised when a reader of the old one would misread the new one."""

SCHEMA_ID = "https://sana-recipes.dev/schema/webhook-1.json"

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}


class Clip(TypedDict):
    """A validation clip or a preview of one: its file, and what is in it where that is not too large."""

    path: str
    mp4_base64: str | None


class Payload(TypedDict):
    """A message. See `webhook_schema` for what is what."""

    version: int
    time: str
    run: str
    plan_id: str
    step: int
    level: str
    message: str
    event: dict[str, Any]
    clip: Clip | None


def payload(event: Event, *, time: str, run: str, plan_id: str, step: int, message: str) -> Payload:
    """Return the payload of an event, without its clip.

    Args:
        event: The event.
        time: ISO 8601 in UTC.
        run: The run's name.
        plan_id: The plan's id.
        step: Optimizer steps done.
        message: The event in a sentence, for people.
    """
    return {
        "version": WEBHOOK_VERSION,
        "time": time,
        "run": run,
        "plan_id": plan_id,
        "step": step,
        "level": event.level,
        "message": message,
        "event": {"version": EVENTS_VERSION, "event": event.kind, **asdict(event)},
        "clip": None,
    }


def webhook_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a payload, derived from the definition of events."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Message of a run to a webhook of type raw",
        **_object(
            {
                "version": {"description": "Version of this format.", "const": WEBHOOK_VERSION},
                "time": {"description": "When it happened, in UTC.", "type": "string", "format": "date-time"},
                "run": {"description": "The run's name: `tracking.run_name`.", "type": "string"},
                "plan_id": {"description": "The plan's id.", "type": "string"},
                "step": {"description": "Optimizer steps done.", "type": "integer", "minimum": 0},
                "level": {"description": "How important it is.", "enum": list(LEVELS)},
                "message": {"description": "The event in a sentence, after the webhook's prefix.", "type": "string"},
                "event": {
                    "description": "The event, as in the run's events.jsonl.",
                    "oneOf": [{"$ref": f"#/$defs/{event.kind}"} for event in get_args(Event)],
                },
                "clip": {
                    "description": "The file of a validation clip or preview; null for every other event.",
                    "oneOf": [{"type": "null"}, {"$ref": "#/$defs/clip"}],
                },
            }
        ),
        "$defs": {
            "clip": _object(
                {
                    "path": {"description": "Absolute path on the machine of the run.", "type": "string"},
                    "mp4_base64": {
                        "description": "The file in base64; null where it is too large or could not be read.",
                        "type": ["string", "null"],
                        "contentEncoding": "base64",
                        "contentMediaType": "video/mp4",
                    },
                }
            ),
            **{event.kind: _event(event) for event in get_args(Event)},
        },
    }


def _event(event: type) -> dict[str, Any]:
    head = {"version": {"const": EVENTS_VERSION}, "event": {"const": event.kind}}  # type: ignore[attr-defined]
    return {
        "description": inspect.cleandoc(event.__doc__ or ""),
        **_object({**head, **{field.name: _type(field.type) for field in fields(event)}}),
    }


def _type(hint: Any) -> dict[str, Any]:
    """Return the JSON Schema of a field's type.

    Raises:
        TypeError: Events have no such fields yet; say here what they are in JSON.
    """
    inside = get_args(hint)
    if hint in _TYPES:
        return {"type": _TYPES[hint]}
    if get_origin(hint) is Literal:
        return {"enum": list(inside)}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _type(inside[0])}
    if get_origin(hint) is UnionType:
        return {"anyOf": [_type(one) for one in inside]}
    raise TypeError(f"{hint} is no type that events have")


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
