import io
import json
import queue
import resource
import sys
from pathlib import Path

import pytest

from fakes_clips import make_clip
from recipe_compiler.data import probing, worker
from recipe_compiler.data.probe import Probe, probe
from recipe_compiler.data.probing import probe_each


SCRIPT = """
import json, os, sys, time
for line in sys.stdin:
    name = os.path.basename(json.loads(line))
    if name.startswith("crash"): os.abort()
    if name.startswith("leave"): sys.exit(3)
    if name.startswith("hang"): time.sleep(60)
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
def test_an_answer_that_makes_no_sense_is_a_problem_of_that_file(tmp_path):
    ((_, facts),) = probe_each([tmp_path / "odd"])

    assert facts.problem.startswith("could not be looked at: ")


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


def test_a_process_that_dies_before_it_is_asked_gives_no_answer():
    child = probing._Child()
    child._process.kill()
    child._process.wait()

    assert child.ask(Path("a.mp4"), limit=1.0) is None
    child.end()


def test_who_is_stopped_before_the_first_file_starts_no_process(tmp_path):
    files = queue.SimpleQueue()
    files.put(tmp_path / "a.mp4")
    hand = probing._Hand(files, queue.SimpleQueue(), patience=1.0)

    hand.stop()
    hand.run()

    assert hand._child is None
    assert files.qsize() == 1


def test_the_worker_keeps_its_answers_apart_from_what_libraries_print(tmp_path, monkeypatch):
    clip = make_clip(tmp_path / "a.mp4", frames=9)
    monkeypatch.setattr(worker, "limit_memory", lambda: sys.stdout.write("a library\n"))
    with (tmp_path / "out").open("w") as out, (tmp_path / "log").open("w") as log:
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(str(clip)) + "\n"))
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", log)

        worker.main()

    assert Probe(**json.loads((tmp_path / "out").read_text())) == probe(clip)
    assert (tmp_path / "log").read_text() == "a library\n"


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
