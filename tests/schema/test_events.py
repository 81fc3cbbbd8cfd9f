import json
from typing import get_args

from recipe_schema.events import EVENTS_VERSION, Event, Interrupted, to_record


def test_the_record_of_an_event_holds_what_happened_and_when():
    record = to_record(Interrupted(signal="SIGINT", step=7), "2026-01-02T03:04:05Z")

    assert json.loads(json.dumps(record)) == {
        "version": EVENTS_VERSION,
        "time": "2026-01-02T03:04:05Z",
        "event": "interrupted",
        "signal": "SIGINT",
        "step": 7,
    }


def test_no_two_events_are_called_the_same():
    kinds = [event.kind for event in get_args(Event)]

    assert len(set(kinds)) == len(kinds) > 10
