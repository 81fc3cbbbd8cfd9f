import io
import json
import os
import queue
import resource
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fakes_clips import make_clip, make_project
from recipe_compiler.data import probing, worker
from recipe_compiler.data.probe import Probe, probe
from recipe_compiler.data.probing import probe_each
from recipe_compiler.pipeline import Options, compile_recipe


SCRIPT = """
import json, os, sys, time
for line in sys.stdin:
    name = os.path.basename(json.loads(line))
    if name.startswith("crash"): os.abort()
    if name.startswith("leave"): sys.exit(3)
    if name.startswith("hang"): time.sleep(60)
    if name.startswith("talks"): print("not json", flush=True); continue
    print(json.dumps({"problem": "", "codec": name} if not name.startswith("odd") else {"no": 1}), flush=True)
"""


@pytest.fixture
def scripted(monkeypatch):
    """Let files be looked at by a process that does as their names say."""
    monkeypatch.setattr(probing, "COMMAND", (sys.executable, "-c", SCRIPT))
    monkeypatch.setattr(probing, "_IDLE", [])
    yield
    probing._end_idle()


def test_clips_are_looked_at_as_in_this_process(tmp_path):
    clips = [make_clip(tmp_path / f"{index} ä.mp4", frames=9 + index) for index in range(5)]
    (tmp_path / "not.mp4").write_bytes(b"no video")

    found = dict(probe_each([*clips, tmp_path / "not.mp4", tmp_path / "gone.mp4"]))

    assert found == {path: probe(path) for path in [*clips, tmp_path / "not.mp4", tmp_path / "gone.mp4"]}
    assert [found[clip].frames for clip in clips] == [9, 10, 11, 12, 13]


def test_processes_are_used_again(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=9)
    list(probe_each([clip]))
    waiting = list(probing._IDLE)

    list(probe_each([clip]))

    assert waiting == probing._IDLE


@pytest.mark.usefixtures("scripted")
def test_a_file_that_kills_the_process_is_named_and_the_others_are_looked_at(tmp_path):
    files = [tmp_path / name for name in ("a", "crash", "b", "leave", "c")]

    found = dict(probe_each(files, workers=1))

    assert [found[tmp_path / name].codec for name in "abc"] == ["a", "b", "c"]
    assert found[tmp_path / "crash"].problem == "crashes the video library (SIGABRT)"
    assert found[tmp_path / "leave"].problem == "crashes the video library (exit code 3)"


@pytest.mark.usefixtures("scripted")
def test_a_file_that_gives_no_answer_is_given_up(tmp_path):
    files = [tmp_path / name for name in ("hang", "a")]

    found = dict(probe_each(files, workers=1, patience=1.0))

    assert found[tmp_path / "hang"] == Probe(problem="gives no answer within 1 s")
    assert found[tmp_path / "a"].codec == "a"


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize("name", ["odd", "talks"])
def test_an_answer_that_makes_no_sense_is_a_problem_of_that_file(tmp_path, name):
    ((_, facts),) = probe_each([tmp_path / name])

    assert facts.problem.startswith("could not be looked at: ")


@pytest.mark.usefixtures("scripted")
def test_a_process_that_died_just_now_gives_no_answer():
    child = probing._Child()
    child._process.kill()
    child._process.wait()

    assert child.ask("a", 5.0) is None
    child.end()


@pytest.mark.usefixtures("scripted")
def test_who_wants_no_more_leaves_no_process_behind(tmp_path):
    answers = probe_each([tmp_path / name for name in ("a", "hang", "hang2", "b")], workers=1)
    next(answers)

    answers.close()

    assert probing._IDLE == []


@pytest.mark.usefixtures("scripted")
def test_a_process_that_died_while_it_waited_is_noticed(tmp_path):
    list(probe_each([tmp_path / "a"], workers=1))
    probing._IDLE[0]._process.kill()
    probing._IDLE[0]._process.wait()

    ((_, facts),) = probe_each([tmp_path / "b"], workers=1)

    assert facts.codec == "b"


def test_who_is_stopped_before_the_first_file_starts_no_process(tmp_path):
    files = queue.SimpleQueue()
    files.put((0, tmp_path / "a.mp4", ""))
    hand = probing._Hand(files, queue.SimpleQueue(), patience=1.0)

    hand.stop()
    hand.run()

    assert hand._child is None
    assert files.qsize() == 1


def test_the_worker_answers_line_by_line_and_tells_of_too_much_memory(tmp_path, monkeypatch):
    clip = make_clip(tmp_path / "a.mp4", frames=9)
    answers = io.StringIO()

    worker.serve([json.dumps(str(clip))], answers)
    monkeypatch.setattr(worker, "probe", _hungry)
    worker.serve([json.dumps("b.mp4")], answers)

    first, second = map(json.loads, answers.getvalue().splitlines())
    assert Probe(**first) == probe(clip)
    assert second["problem"] == "needs more than 8 GB of memory to be looked at"


def _hungry(_: Path) -> Probe:
    raise MemoryError


def test_memory_is_limited(monkeypatch):
    limits = []
    monkeypatch.setattr(resource, "setrlimit", lambda what, values: limits.append((what, values[0])))

    worker.limit_memory()

    assert limits == [(resource.RLIMIT_AS, 8 << 30)]


REAL = """
import time
from recipe_compiler.data import worker
plain, worker.MOST_MEMORY = worker.probe, 1 << 30
def probe(path):
    if path.name.startswith("hungry"): bytearray(4 << 30)
    if path.name.startswith("hangs"): time.sleep(600)
    return plain(path)
worker.probe = probe
worker.main()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems don't hold to the limit")
def test_a_file_that_eats_memory_or_never_ends_costs_itself_and_no_other(tmp_path, monkeypatch):
    """The process is the real one; only what a damaged file does to the video library is played."""
    monkeypatch.setattr(probing, "COMMAND", (sys.executable, "-c", REAL))
    monkeypatch.setattr(probing, "_IDLE", [])
    clips = [make_clip(tmp_path / f"{name}.mp4", frames=9) for name in ("a", "hungry", "b", "hangs", "c")]

    found = dict(probe_each(clips, workers=2, patience=4.0))
    probing._end_idle()

    assert {path.stem: facts.problem for path, facts in found.items()} == {
        "a": "",
        "b": "",
        "c": "",
        "hungry": "needs more than 1 GB of memory to be looked at",
        "hangs": "gives no answer within 4 s",
    }


def test_the_process_answers_on_standard_output_and_lets_libraries_talk_elsewhere(tmp_path, monkeypatch):
    clip, answers, moved = make_clip(tmp_path / "a.mp4", frames=9), tmp_path / "answers", []
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(str(clip)) + "\n"))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(fileno=lambda: 1))
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(fileno=lambda: 2))
    monkeypatch.setattr(os, "dup", lambda _: os.open(answers, os.O_WRONLY | os.O_CREAT))
    monkeypatch.setattr(os, "dup2", lambda *both: moved.append(both))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    monkeypatch.delitem(sys.modules, "recipe_compiler.data.worker")

    runpy.run_module("recipe_compiler.data.worker", run_name="__main__")

    assert Probe(**json.loads(answers.read_text())) == probe(clip)
    assert moved == [(2, 1)]


def test_what_is_no_file_is_not_opened(tmp_path):
    """Opening a pipe that nobody writes to would take for ever."""
    project = make_project(tmp_path)
    os.mkfifo(tmp_path / "clips" / "pipe.mp4")
    (tmp_path / "clips" / "folder.mp4").mkdir()

    rows = compile_recipe(project, Options()).survey.rows

    assert [row.path for row in rows] == ["c0.mp4", "c1.mp4", "c2.mp4", "c3.mp4"]
