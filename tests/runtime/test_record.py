import json
import threading
from datetime import datetime
from pathlib import Path

import pytest

from recipe_runtime.errors import RunError
from recipe_runtime.record import Recorder
from recipe_schema.events import EVENTS_FILE, Warned


def test_each_event_is_one_line_at_once_and_reaches_the_listeners(tmp_path):
    heard = []

    with Recorder(tmp_path, [heard.append]) as recorder:
        recorder.emit(Warned(message="first\nline"))
        lines = (tmp_path / EVENTS_FILE).read_text().splitlines()
        recorder.emit(Warned(message="ä"))

    assert len(lines) == 1
    record = json.loads(lines[0])
    assert record["event"] == "warning"
    assert record["message"] == "first\nline"
    assert record["time"].endswith("Z")
    assert datetime.fromisoformat(record["time"]).microsecond % 1000 == 0
    assert heard == [Warned(message="first\nline"), Warned(message="ä")]


@pytest.mark.parametrize("before", ['{"event": "warn', '{"event": "x"}\n', ""])
def test_a_half_written_line_of_a_killed_process_stays_apart(tmp_path, before):
    (tmp_path / EVENTS_FILE).write_text(before)

    with Recorder(tmp_path) as recorder:
        recorder.emit(Warned(message="after"))

    text = (tmp_path / EVENTS_FILE).read_text()
    assert text.startswith(before)
    assert "\n\n" not in text
    assert json.loads(text.splitlines()[-1])["message"] == "after"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_is_said_in_a_sentence_and_closing_is_quiet(tmp_path):
    (tmp_path / EVENTS_FILE).symlink_to("/dev/full")
    heard = []

    with (
        Recorder(tmp_path, [heard.append]) as recorder,
        pytest.raises(RunError, match=rf"{EVENTS_FILE} can't be written: .*No space left.*run the same command again"),
    ):
        recorder.emit(Warned(message="x"))

    assert heard == []


def test_a_file_that_can_not_be_opened_is_named(tmp_path):
    (tmp_path / EVENTS_FILE).mkdir()
    (tmp_path / EVENTS_FILE / "x").write_text("")

    with pytest.raises(RunError, match=rf"{EVENTS_FILE} can't be written: .*Is a directory"):
        Recorder(tmp_path)


def test_events_of_other_threads_follow_the_next_one(tmp_path):
    heard = []

    def answer(event):
        heard.append(event)
        if event == Warned(message="question"):
            recorder.emit_later(Warned(message="answer"))

    with Recorder(tmp_path) as recorder:
        recorder.listen(answer)
        thread = threading.Thread(target=lambda: recorder.emit_later(Warned(message="from elsewhere")))
        thread.start()
        thread.join()
        assert heard == []
        recorder.emit(Warned(message="question"))
        recorder.emit_later(Warned(message="last"))
        recorder.emit_waiting()
        recorder.emit_waiting()

    words = ["question", "from elsewhere", "answer", "last"]
    assert [event.message for event in heard] == words
    records = [json.loads(line) for line in (tmp_path / EVENTS_FILE).read_text().splitlines()]
    assert [record["message"] for record in records] == words
    assert records[1]["time"] <= records[0]["time"], "it happened before"
