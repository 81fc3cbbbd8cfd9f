"""The page of events: what a run tells while it runs, and what a webhook of type ``raw`` gets."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from recipe_compiler.docs.markdown import cell, document, escaped, table
from recipe_schema.events import EVENTS_FILE, EVENTS_VERSION, LEVELS, Event
from recipe_schema.webhook import WEBHOOK_VERSION, webhook_schema


_LEVELS = {
    "critical": "the run failed",
    "error": "it stopped before its end, because someone asked for it",
    "warning": "people should know, and the run goes on",
    "info": "what happens",
    "debug": "progress inside of stages",
}


def events_page() -> str:
    """Return the page."""
    schema = webhook_schema()
    head = (("version", f"`{EVENTS_VERSION}`"), ("time", "when, ISO 8601 in UTC"), ("event", "the kind, as below"))
    lines = [
        "# Events",
        "",
        (
            f"A run tells what happens in `{EVENTS_FILE}` in its directory, one JSON object a line. Consoles, trackers and "
            "webhooks draw all that they show from these events. After a crash and a resume some steps come twice: the "
            "later line counts. How to be told is in [watching a run](../watching.md)."
        ),
        "",
        *table(("key of every line", "what"), [(f"`{name}`", what) for name, what in head]),
        "",
        "## Levels",
        "",
        "A webhook's `level` names the least important ones that it is told.",
        "",
        *table(("level", "what"), [(f"`{level}`", _LEVELS[level]) for level in LEVELS]),
        "",
        f"## The message of a raw webhook, version {WEBHOOK_VERSION}",
        "",
        (
            "A POST of one JSON object for each event. Its JSON Schema is "
            "[schema/webhook.schema.json](../../schema/webhook.schema.json), which `recipe schema webhook` prints. The "
            "version is raised when a reader of the old form would misread the new one."
        ),
        "",
        *_fields(schema["properties"]),
        "",
        "A `clip` has these:",
        "",
        *_fields(schema["$defs"]["clip"]["properties"]),
        "",
        "## Kinds of events",
    ]
    for event in get_args(Event):
        lines += _event(event.kind, event.level, schema["$defs"][event.kind])
    return document(lines)


def _event(kind: str, level: str, schema: Mapping[str, Any]) -> Iterator[str]:
    text, _, attributes = schema["description"].partition("\n\nAttributes:\n")
    meanings = dict(re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", attributes, flags=re.MULTILINE))
    yield from ("", f"### `{kind}`", "", f"Level `{level}`. {escaped(_one_line(text))}", "")
    rows = [
        (f"`{name}`", _type(field), cell(_one_line(meanings.get(name, ""))))
        for name, field in schema["properties"].items()
        if name not in {"version", "event"}
    ]
    yield from table(("key", "type", "what"), rows)


def _fields(properties: Mapping[str, Any]) -> list[str]:
    rows = [(f"`{name}`", _type(field), cell(field["description"])) for name, field in properties.items()]
    return table(("key", "type", "what"), rows)


def _type(field: Mapping[str, Any]) -> str:
    """Say the type of a field."""
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "oneOf" in field:
        return "object or null" if {"type": "null"} in field["oneOf"] else "object"
    if "anyOf" in field:
        return " or ".join(_type(one) for one in field["anyOf"])
    return " or ".join(field["type"]) if isinstance(field["type"], list) else str(field["type"])


def _one_line(text: str) -> str:
    return re.sub(r"``", "`", " ".join(text.split()))
