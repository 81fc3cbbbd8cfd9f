import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from fakes_runs import draw, make_run, started, step, tell, whole_story
from recipe_runtime.errors import RunError
from recipe_runtime.pages import __main__, server as module
from recipe_runtime.pages.__main__ import main
from recipe_runtime.pages.server import FIRST_PORT, WatchServer, build_server
from recipe_runtime.pages.tail import read_all
from recipe_runtime.record import Recorder
from recipe_schema.events import EVENTS_FILE


@contextlib.contextmanager
def serving(*folders):
    server = WatchServer(folders, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.close()
        thread.join()


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


class Stream:
    """The messages of ``/events``."""

    def __init__(self, server, **headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
        self.connection.request("GET", "/events", headers=headers)
        self.answer = self.connection.getresponse()

    def next(self):
        lines = {}
        while (line := self.answer.readline().decode().rstrip("\n")) or not lines:
            name, _, value = line.partition(": ")
            if name:
                lines[name] = value
        return lines["event"], json.loads(lines["data"]), lines["id"]


@pytest.fixture
def run(tmp_path):
    run = make_run(tmp_path)
    tell(run, *whole_story(run))
    return run


def test_the_page_and_its_parts_are_there(run):
    with serving(run) as server:
        for path, kind in (
            ("/", "text/html"),
            ("/page.css", "text/css"),
            ("/watch.css", "text/css"),
            ("/watch.js", "text/javascript"),
            ("/charts.js", "text/javascript"),
        ):
            answer, content = ask(server, path)
            assert (answer.status, answer.headers.get_content_type()) == (200, kind)
            assert content
            assert b"http" not in content.replace(b"http://www.w3.org/2000/svg", b"").replace(b"http-equiv", b"")
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_the_plan_of_each_run_is_told(run, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with serving(run, empty) as server:
        first, second = json.loads(ask(server, "/runs.json")[1])

    assert first["folder"] == str(run)
    assert first["plan"]["name"] == "test"
    assert first["plan"]["estimate"]["memory_gb"] == 2.5
    assert second == {"folder": str(empty), "plan": None}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:9000", "[::1]:80"])
def test_this_machines_own_names_are_answered_whatever_port_is_forwarded(run, host):
    with serving(run) as server:
        assert ask(server, "/runs.json", Host=host)[0].status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8642", "localhost.evil.example", "127.0.0.1.nip.io", ""]
)
def test_another_name_is_refused_whatever_is_asked_for(run, host):
    with serving(run) as server:
        for path in ("/", "/runs.json", "/events", "/clips/0/validation/step-00000000/main.mp4"):
            answer, content = ask(server, path, Host=host)
            assert (answer.status, b"main" in content) == (403, False)


def test_a_clip_is_sent_whole_or_in_part(run):
    path = "/clips/0/validation/step-00000004/main.mp4"
    content = (run / "validation/step-00000004/main.mp4").read_bytes()
    with serving(run) as server:
        whole, body = ask(server, path)
        assert (whole.status, whole.headers["Content-Type"], body) == (200, "video/mp4", content)
        for asked, first, last in (
            ("bytes=0-9", 0, 9),
            ("bytes=10-", 10, len(content) - 1),
            ("bytes=-5", len(content) - 5, len(content) - 1),
            ("bytes=3-999999999", 3, len(content) - 1),
        ):
            answer, body = ask(server, path, Range=asked)
            assert (answer.status, body) == (206, content[first : last + 1])
            assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(content)}"
        assert ask(server, path, Range=f"bytes={len(content)}-")[0].status == 416
        assert ask(server, path, Range="lines=1-2")[0].status == 200
        head, body = ask(server, path, method="HEAD")
        assert (head.headers["Content-Length"], body) == (str(len(content)), b"")


@pytest.mark.parametrize(
    "path",
    [
        "/clips/0/validation/../events.jsonl",
        "/clips/0/../../../../../../etc/passwd",
        "/clips/0/validation/..%2f..%2fevents.jsonl",
        "/clips/0/%2e%2e/%2e%2e/secret.mp4",
        "/clips/0//etc/passwd",
        "/clips/0/validation/%00.mp4",
        "/clips/0/plan/plan.json",
        "/clips/1/validation/step-00000004/main.mp4",
        "/clips/9999999/x",
        "/clips/-1/x",
        "/../page.css",
        "/server.py",
        "/watch.html",
        "//etc/passwd",
    ],
)
def test_nothing_else_can_be_had(run, path):
    (run.parent / "secret.mp4").touch()
    with serving(run) as server:
        answer, content = ask(server, path)

    assert (answer.status, content) == (404, b"there is no such page\n") or content == b"there is no such clip\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_sent(run, method):
    with serving(run) as server:
        assert ask(server, "/", method=method)[0].status == 501


def test_a_stream_tells_what_happened_and_what_happens(run):
    with serving(run) as server:
        stream = Stream(server)
        kind, data, place = stream.next()
        assert (kind, data["run"], len(data["events"])) == ("more", 0, len(list(whole_story(run))))
        assert place == str((run / EVENTS_FILE).stat().st_size)

        tell(run, started(), step(5))

        _, data, later = stream.next()
        assert [event["event"] for event in data["events"]] == ["run-started", "step"]
        again = Stream(server, **{"Last-Event-ID": place})
        assert again.next() == ("more", data, later)


def test_one_stream_carries_all_runs(run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with serving(run, other) as server:
        stream = Stream(server)
        assert stream.next()[1]["run"] == 0
        tell(other, started())
        _, data, place = stream.next()

    assert (data["run"], len(data["events"])) == (1, 1)
    assert place == f"{(run / EVENTS_FILE).stat().st_size},{(other / EVENTS_FILE).stat().st_size}"


def test_a_file_that_is_another_one_now_begins_anew(run):
    with serving(run) as server:
        stream = Stream(server)
        stream.next()
        (run / EVENTS_FILE).write_text('{"event": "run-started"}\n')

        assert stream.next()[:2] == ("anew", {"run": 0, "events": []})
        assert stream.next()[1]["events"] == [{"event": "run-started"}]


@pytest.mark.parametrize("place", ["1,2", "x", "-1", "9" * 30, ""])
def test_a_place_that_is_none_begins_at_the_start(run, place):
    with serving(run) as server:
        assert len(Stream(server, **{"Last-Event-ID": place}).next()[1]["events"]) > 3


def test_a_silent_stream_says_that_it_lives_and_notices_who_left(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "_SILENCE_SECONDS", 0.02)
    with serving(tmp_path) as server:
        before = threading.active_count()
        stream = Stream(server)
        assert stream.answer.readline() == b": still here\n"
        assert threading.active_count() == before + 1
        stream.answer.close()
        stream.connection.close()
        until = time.monotonic() + 10
        while threading.active_count() > before and time.monotonic() < until:
            time.sleep(0.01)
        assert threading.active_count() == before


def test_watching_writes_nothing(run):
    def files():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.rglob("*")}

    before = files()
    with serving(run) as server:
        Stream(server).next()
        for path in ("/", "/runs.json", "/clips/0/validation/step-00000004/main.mp4"):
            ask(server, path)

    assert files() == before


def test_it_listens_to_this_machine_alone_on_the_first_free_port(tmp_path):
    with (
        contextlib.closing(build_server([tmp_path], None)) as first,
        contextlib.closing(build_server([tmp_path], None)) as second,
    ):
        ports = [server.server_address[1] for server in (first, second)]
        assert first.server_address[0] == "127.0.0.1"
        assert FIRST_PORT <= ports[0] < ports[1]
        with pytest.raises(RunError, match="name another one with --port"):
            build_server([tmp_path], ports[0])


def test_a_folder_of_runs_means_all_of_them(run, monkeypatch, capsys):
    other = run.parent / "another"
    other.mkdir()
    tell(other, started(), draw(other, 1))
    (run.parent / "no-run").mkdir()
    shown = []
    opened = []

    def serve(server):
        shown.extend(run.folder.name for run in server.runs)
        raise KeyboardInterrupt

    monkeypatch.setattr(WatchServer, "serve_forever", serve)
    monkeypatch.setattr(__main__.webbrowser, "open", opened.append)

    assert main(["watch", str(run.parent), "--port", "0", "--open"]) == 0

    assert shown == ["another", run.name]
    out = capsys.readouterr().out
    assert "shows 2 runs; Ctrl-C closes the page and touches nothing else" in out
    assert opened == [out.split()[0]]


@pytest.mark.parametrize("name", ["gone", "empty"])
def test_what_is_no_run_is_told(tmp_path, capsys, name):
    (tmp_path / "empty").mkdir()

    assert main(["watch", str(tmp_path / name)]) == 4
    assert "is no run directory, and holds none" in capsys.readouterr().err


def test_a_page_that_is_killed_leaves_the_run_as_it_is(tmp_path):
    """The run's process writes on; the page was only a reader."""
    run = make_run(tmp_path)
    tell(run, *whole_story(run))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    command = [sys.executable, "-m", "recipe_runtime.pages", "watch", str(run), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (
        Recorder(run) as recorder,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as page,
    ):
        address = page.stdout.readline().split()[0]
        with urllib.request.urlopen(f"{address}events", timeout=60) as stream:
            assert stream.readline().startswith(b"id: ")
            assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
            recorder.emit(step(5))
            page.kill()
            page.wait()
        recorder.emit(step(6))

    assert [event["step"] for event in read_all(run) if event["event"] == "step"][-2:] == [5, 6]
