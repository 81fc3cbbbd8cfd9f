"""Events files and what is made of them."""

import json
from dataclasses import replace

import pytest

from fakes_runs import draw, evaluated, make_run, sheet_of, started, step, tell, whole_story
from recipe_runtime.pages.facts import facts_of, facts_of_run, plan_of
from recipe_runtime.pages.files import clip_file
from recipe_runtime.pages.story import story_of
from recipe_runtime.pages.tail import Shrunk, Tail, read_all
from recipe_schema.events import EVENTS_FILE, Failed, Interrupted, Resumed, StageFinished, Warned
from recipe_schema.planfile import write_plan


def test_events_come_once_and_as_soon_as_their_line_is_whole(tmp_path):
    tail = Tail(tmp_path)
    assert tail.read() == []
    file = tmp_path / EVENTS_FILE
    file.write_text('{"event": "a"}\n{"event": ')

    assert [event["event"] for event in tail.read()] == ["a"]
    assert tail.read() == []
    with file.open("a") as more:
        more.write('"b"}\n')
    assert [event["event"] for event in tail.read()] == ["b"]
    assert tail.offset == file.stat().st_size


def test_what_is_no_event_is_passed_over(tmp_path):
    (tmp_path / EVENTS_FILE).write_bytes(b'{"half\n[1]\n{"no": "event"}\n{"event": 5}\n\xff\xfe\n\n{"event": "a"}\n')

    assert [event["event"] for event in Tail(tmp_path).read()] == ["a"]


def test_a_file_that_became_shorter_is_read_anew(tmp_path):
    file, tail = tmp_path / EVENTS_FILE, Tail(tmp_path)
    file.write_text('{"event": "a"}\n{"event": "b"}\n')
    tail.read()
    file.write_text('{"event": "c"}\n')

    with pytest.raises(Shrunk):
        tail.read()
    assert [event["event"] for event in tail.read()] == ["c"]


def test_a_long_file_comes_in_parts_and_a_line_longer_than_a_part_is_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("recipe_runtime.pages.tail._AT_ONCE", 40)
    long = json.dumps({"event": "long", "text": "x" * 100})
    lines = [json.dumps({"event": str(number)}) for number in range(20)]
    (tmp_path / EVENTS_FILE).write_text("\n".join([*lines[:10], long, *lines[10:]]) + "\n")

    kinds = [event["event"] for event in read_all(tmp_path)]

    assert kinds == [*map(str, range(10)), "long", *map(str, range(10, 20))]


def story(*events, tmp_path):
    tell(tmp_path, *events)
    return story_of(read_all(tmp_path))


def test_a_resumed_run_forgets_what_came_after_its_checkpoint(tmp_path):
    before = (started(), step(1), step(2), evaluated(2, 1.0), step(3), draw(tmp_path, 3))
    told = story(*before, started(), Resumed(step=1, path="x"), step(2, loss=9.0), tmp_path=tmp_path)

    assert {number: event["loss"] for number, event in told.steps.items()} == {1: 1.0, 2: 9.0}
    assert (told.evaluations, told.clips, told.processes) == ({}, {}, 2)


def test_a_clip_that_is_there_counts_again_when_a_resumed_run_gets_to_its_step(tmp_path):
    events = (
        started(),
        step(1),
        step(2),
        draw(tmp_path, 2),
        sheet_of(tmp_path, 2),
        started(),
        Resumed(step=1, path="x"),
    )

    behind = story(*events, tmp_path=tmp_path)
    again = story(step(2), tmp_path=tmp_path)

    assert (list(behind.clips), list(behind.sheets)) == ([], [])
    assert (list(again.clips), list(again.sheets)) == (["validation/step-00000002/main.mp4"], ["main"])


@pytest.mark.parametrize(
    ("last", "state"),
    [
        (step(1), "running"),
        (Failed(message="no", exit_code=4), "failed"),
        (Interrupted(signal="SIGTERM", step=1), "stopped"),
    ],
)
def test_the_state_is_that_of_the_last_event_that_has_one(tmp_path, last, state):
    assert story(started(), last, tmp_path=tmp_path).state == state
    assert story(started(), tmp_path=tmp_path).state == "running"
    assert story_of([]).state == "waiting"


def test_stages_add_up_over_processes_and_warnings_are_kept(tmp_path):
    finished = StageFinished(stage="train", total=4, reused=0, seconds=2.0)
    told = story(started(), finished, Warned(message="odd"), started(device="cuda (X)"), finished, tmp_path=tmp_path)

    assert told.stages == {"train": 4.0}
    assert [message for _, message in told.told] == ["odd"]
    assert told.devices == ["cpu", "cuda (X)"]


def test_a_page_does_not_tell_addresses_of_webhooks(tmp_path):
    run = make_run(tmp_path, webhooks=({"type": "raw", "url": "https://example.org/secret"},))

    assert "secret" not in json.dumps(facts_of(plan_of(run)))


def test_a_plan_that_says_other_things_of_itself_is_passed_over(tmp_path):
    run = make_run(tmp_path)
    assert facts_of_run(run)["name"] == "test"
    plan = plan_of(run)
    write_plan(replace(plan, meta={}), run / "plan")

    assert facts_of_run(run) is None
    assert facts_of_run(tmp_path / "gone") is None


def test_a_run_without_a_readable_plan_has_none(tmp_path):
    assert plan_of(tmp_path) is None
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan/plan.json").write_text("{}")
    assert plan_of(tmp_path) is None


@pytest.mark.parametrize(
    "path",
    [
        "../secret.mp4",
        "/etc/passwd",
        "validation/../../secret.mp4",
        "validation/link.mp4",
        "validation/away/secret.mp4",
        "validation/.part.mp4",
        "validation/notes.txt",
        "validation/gone.mp4",
        "validation",
        "validation/\0.mp4",
        "plan/plan.mp4",
        "",
    ],
)
def test_nothing_but_a_runs_clips_is_shown(tmp_path, path):
    run = tmp_path / "run"
    (run / "validation").mkdir(parents=True)
    (run / "plan").mkdir()
    for name in (
        "secret.mp4",
        "run/plan/plan.mp4",
        "run/validation/.part.mp4",
        "run/validation/notes.txt",
        "run/validation/a.mp4",
    ):
        (tmp_path / name).touch()
    (run / "validation/link.mp4").symlink_to(tmp_path / "secret.mp4")
    (run / "validation/away").symlink_to(tmp_path)

    assert clip_file(run, path) is None
    assert clip_file(run, "validation/a.mp4") == run.resolve() / "validation/a.mp4"


def test_a_whole_story_can_be_read(tmp_path):
    told = story(*whole_story(tmp_path), tmp_path=tmp_path)

    assert (told.state, told.max_steps, len(told.steps), len(told.clips), told.memory["gb"]) == (
        "finished",
        4,
        4,
        2,
        1.25,
    )
