import json
from typing import get_args

from recipe_schema.events import (
    EVENTS_VERSION,
    LEVELS,
    Evaluated,
    Event,
    Interrupted,
    from_record,
    is_as_important,
    to_record,
)


def test_the_record_of_an_event_holds_what_happened_and_when():
    record = to_record(Interrupted(signal="SIGINT", step=7), "2026-01-02T03:04:05Z")

    assert json.loads(json.dumps(record)) == {
        "version": EVENTS_VERSION,
        "time": "2026-01-02T03:04:05Z",
        "event": "interrupted",
        "signal": "SIGINT",
        "step": 7,
    }


def test_an_event_comes_back_from_its_record():
    event = Evaluated(
        step=1, dataset="discs", weights="model", clips=2, loss=0.5, sigmas=(0.1, 0.9), losses=(0.2, 0.8), seconds=0.1
    )

    assert from_record(json.loads(json.dumps(to_record(event, "now")))) == event


def test_no_two_events_are_called_the_same():
    kinds = [event.kind for event in get_args(Event)]

    assert len(set(kinds)) == len(kinds) > 10


def test_every_event_has_a_level():
    assert {event.level for event in get_args(Event)} == set(LEVELS)


def test_levels_are_ordered():
    assert is_as_important("error", "warning")
    assert is_as_important("info", "info")
    assert not is_as_important("debug", "info")
