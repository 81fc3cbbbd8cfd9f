import base64
import json
import threading
from email import message_from_bytes

import jsonschema
import pytest

from fakes_server import Answer, serving
from recipe_runtime.errors import RunError
from recipe_runtime.watch import forms
from recipe_runtime.watch.post import HttpPost
from recipe_runtime.watch.webhook import RunFacts, WebhookListener, build_post
from recipe_schema.events import (
    Aligned,
    CheckpointSaved,
    ClipDrawn,
    ClipPreviewed,
    Exported,
    Failed,
    Interrupted,
    MemoryMeasured,
    Pushed,
    Resumed,
    RunFinished,
    RunStarted,
    StageFinished,
    StageProgress,
    StageStarted,
    StepDone,
    Warned,
)
from recipe_schema.sections.output import Webhook
from recipe_schema.webhook import webhook_schema


SECRET = "/hook/s3cret"


def settings(**changes):
    plain = {"type": "raw", "url_env": None, "url": None, "level": "info", "prefix": "", "token_env": None}
    return Webhook(**{**plain, "ssl_verify": True, **changes})


def step(number, **changes):
    values = {"epoch": 0.5, "bucket": "64x64@9", "loss": 1.5, "learning_rate": 1e-4, "grad_norm": 1.0, "sigma": 0.5}
    return StepDone(step=number, seconds=0.5, data_seconds=0.0, **{**values, **changes})


def story(clip="validation/step-00000002/main.mp4"):
    """Every kind of event, in the order of a run."""
    yield RunStarted(plan_id="sha256:" + "ab" * 32, name="test", device="cpu", max_steps=4)
    yield StageStarted(stage="encode-video", total=4, reused=1, unit="clips")
    yield StageProgress(stage="encode-video", done=2, total=4)
    yield StageFinished(stage="encode-video", total=4, reused=1, seconds=3.0)
    yield Resumed(step=1, path="checkpoints/step-00000001")
    yield step(2)
    yield CheckpointSaved(step=2, path="checkpoints/step-00000002", seconds=0.5)
    yield ClipDrawn(step=2, nickname="main", weights="model", path=clip, seconds=2.0)
    sampling = {"sampling_step": 5, "sampling_steps": 20}
    yield ClipPreviewed(step=2, nickname="main", weights="model", path=clip, clip=clip, **sampling)
    yield MemoryMeasured(step=2, gb=1.25, where="cuda")
    yield Warned(message="a clip is <odd> & strange")
    yield Exported(path="export", weights="model", step=4)
    yield Pushed(repository="me/x", path="export", step=1, address="https://hub/me/x", seconds=9.0)
    yield Interrupted(signal="SIGTERM", step=3)
    yield Failed(message="no more disk", exit_code=4)
    yield RunFinished(step=4, seconds=60.0)


def tell(server, events, run_dir, *, interval=None, clock=None, wait=20.0, **changes):
    """Tell a server of events, and return what was warned of."""
    warnings = []
    listener = WebhookListener(
        settings(**changes),
        RunFacts(name="tiny", plan_id="sha256:00", run_dir=run_dir),
        interval=interval,
        post=HttpPost(server.url + SECRET, token=None, ssl_verify=True),
        warn=warnings.append,
        **({} if clock is None else {"clock": clock}),
    )
    for event in events:
        listener(event)
    listener.stop(wait)
    listener.join()
    return warnings


def payloads(server):
    return [json.loads(heard.body) for heard in server.heard]


def kinds(server):
    return [payload["event"]["event"] for payload in payloads(server)]


def draw_clip(run_dir, content=b"\0mp4"):
    path = run_dir / "validation/step-00000002/main.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_raw_messages_are_what_the_schema_says(tmp_path):
    draw_clip(tmp_path)
    seconds = iter(range(0, 10**6, 100))
    with serving() as server:
        tell(server, story(), tmp_path, level="debug", interval=60.0, clock=lambda: next(seconds), prefix="[a] ")

    told = payloads(server)
    assert [payload["event"]["event"] for payload in told] == [event.kind for event in story()]
    for payload in told:
        jsonschema.validate(payload, webhook_schema())
        assert (payload["run"], payload["plan_id"]) == ("tiny", "sha256:00")
        assert payload["message"].startswith("[a] ")
    assert [payload["step"] for payload in told] == [0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 4, 4, 3, 3, 4]
    assert told[5]["event"]["loss"] == 1.5
    assert told[5]["message"] == "[a] train: step 2/4, loss 1.5000, lr 0.0001, 0.50 s/step, 1.0 s left"
    assert told[1]["message"] == "[a] encode-video: 4 clips, 1 there already"
    assert told[14]["message"] == "[a] failed: no more disk"
    assert told[13]["message"] == "[a] stopped by SIGTERM after step 3; the same command goes on"
    assert told[12]["message"] == "[a] push: uploaded export to https://hub/me/x in 9.0 s"


def test_the_schema_refuses_what_is_no_message(tmp_path):
    with serving() as server:
        tell(server, story(), tmp_path)
    good = payloads(server)[0]

    for bad in ({**good, "more": 1}, {**good, "step": -1}, {**good, "event": {**good["event"], "event": "other"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, webhook_schema())


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("critical", {"failed"}),
        ("error", {"failed", "interrupted"}),
        ("warning", {"failed", "interrupted", "warning"}),
        ("info", {event.kind for event in story()} - {"step", "stage-progress", "memory"}),
        ("debug", {event.kind for event in story()} - {"step", "stage-progress"}),
    ],
)
def test_what_is_less_important_is_not_told_and_progress_only_on_demand(tmp_path, level, told):
    with serving() as server:
        tell(server, story(), tmp_path, level=level)

    assert set(kinds(server)) == told


def test_alignment_of_each_step_is_not_told_even_where_everything_is(tmp_path):
    aligned = Aligned(step=1, loss=0.5, similarity=0.1, average_similarity=0.1, weight=0.5)
    with serving() as server:
        tell(server, [aligned, step(1), aligned, step(2)], tmp_path, level="debug")

    assert kinds(server) == []


def test_progress_is_told_every_so_many_seconds(tmp_path):
    now = [0.0]

    def steps():
        for number in range(1, 101):
            now[0] += 1.0
            yield step(number)

    start = RunStarted(plan_id="sha256:00", name="test", device="cpu", max_steps=100)
    with serving() as server:
        tell(server, [start], tmp_path)
        server.heard.clear()
        tell(server, steps(), tmp_path, interval=30.0, clock=lambda: now[0])

    assert [payload["step"] for payload in payloads(server)] == [30, 60, 90]


@pytest.mark.parametrize("kind", [ClipDrawn, ClipPreviewed])
def test_a_clip_comes_along_in_base64_unless_it_is_large_or_gone(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(forms, "LARGEST_CLIP", 8)
    clip = draw_clip(tmp_path, b"12345678")
    event = next(event for event in story() if isinstance(event, kind))
    with serving() as server:
        tell(server, [event], tmp_path)
        clip.write_bytes(b"123456789")
        tell(server, [event], tmp_path)
        clip.unlink()
        tell(server, [event], tmp_path)

    small, large, gone = (payload["clip"] for payload in payloads(server))
    assert base64.b64decode(small["mp4_base64"]) == b"12345678"
    assert small["path"] == str(clip)
    assert large == gone == {"path": str(clip), "mp4_base64": None}


def test_discord_gets_the_clip_as_a_file_and_mentions_nobody(tmp_path):
    draw_clip(tmp_path, b"\0\r\n--mp4")
    with serving() as server:
        tell(server, story(), tmp_path, type="discord", prefix="@everyone ")

    upload, _preview = [
        heard for heard in server.heard if heard.headers["content-type"].startswith("multipart/form-data")
    ]
    parts = message_from_bytes(
        b"Content-Type: " + upload.headers["content-type"].encode() + b"\r\n\r\n" + upload.body
    ).get_payload()
    text, file = parts
    assert text.get_param("name", header="content-disposition") == "payload_json"
    assert json.loads(text.get_payload()) == {
        "content": "@everyone validate: drew validation/step-00000002/main.mp4 in 2.0 s",
        "allowed_mentions": {"parse": []},
    }
    assert file.get_param("name", header="content-disposition") == "files[0]"
    assert (file.get_filename(), file.get_content_type()) == ("step-2-main.mp4", "video/mp4")
    assert b"\r\n\r\n\0\r\n--mp4\r\n--" in upload.body
    assert json.loads(server.heard[0].body)["content"].startswith("@everyone run test: 4 steps on cpu")


def test_discord_gets_text_where_there_is_no_clip_and_no_more_than_it_takes(tmp_path):
    with serving() as server:
        tell(server, [*story(), Warned(message="x" * 3000)], tmp_path, type="discord")

    assert all(heard.headers["content-type"].startswith("application/json") for heard in server.heard)
    assert [len(payload["content"]) for payload in payloads(server)][-1] == 2000


def test_slack_gets_text_with_its_three_escapes_and_the_path_of_a_clip(tmp_path):
    draw_clip(tmp_path)
    with serving() as server:
        tell(server, story(), tmp_path, type="slack")

    texts = [payload["text"] for payload in payloads(server)]
    assert "warning: a clip is &lt;odd&gt; &amp; strange" in texts
    assert any(text.endswith(f"in 2.0 s ({tmp_path}/validation/step-00000002/main.mp4)") for text in texts)
    assert all(set(payload) == {"text"} for payload in payloads(server))


def test_the_training_thread_never_waits_for_an_endpoint_that_stalls(tmp_path):
    hold = threading.Event()
    with serving(lambda _: Answer(hold=hold)) as server:
        listener = WebhookListener(
            settings(level="debug"),
            RunFacts(name="tiny", plan_id="sha256:00", run_dir=tmp_path),
            interval=0.0,
            post=HttpPost(server.url, token=None, ssl_verify=True),
            warn=lambda _: None,
        )
        # All of it is heard before the first message is answered: nobody waited for an answer.
        for number in range(1, 2001):
            listener(step(number))
        assert not hold.is_set()
        assert len(server.heard) <= 1
        listener.stop(0.0)
        listener.join()
        hold.set()


def test_no_address_and_no_token_is_ever_shown(tmp_path):
    with serving(lambda _: Answer(status=500)) as server:
        warnings = tell(server, [Warned(message="x")], tmp_path, wait=0.2)

    assert warnings
    assert not any("s3cret" in text or "127.0.0.1" in text for text in warnings)


@pytest.mark.parametrize(
    ("changes", "environment", "message"),
    [
        ({}, {}, r"webhooks\.2 \(raw\) has no address; give `url_env`"),
        ({"url_env": "HOOK"}, {}, "wants the variable HOOK of the environment, which is not set"),
        ({"url_env": "HOOK"}, {"HOOK": " "}, "wants the variable HOOK of the environment, which is not set"),
        ({"url_env": "HOOK"}, {"HOOK": "ftp://s3cret"}, "something else than an address in HOOK; it has the form"),
        ({"url_env": "HOOK"}, {"HOOK": "https://s3cret:99999/x"}, "something else than an address in HOOK"),
        ({"url_env": "HOOK"}, {"HOOK": "https://s3cret/ä"}, "HOOK of the environment holds spaces or letters"),
        ({"url": "http:///x"}, {}, "something else than an address in url"),
        ({"url": "http://h/x", "token_env": "TOKEN"}, {}, "wants the variable TOKEN"),
        ({"url": "http://h/x", "token_env": "TOKEN"}, {"TOKEN": "s3cret\nx"}, "TOKEN of the environment holds spaces"),
    ],
)
def test_an_address_or_token_that_is_not_there_stops_the_run_before_it_begins(changes, environment, message):
    with pytest.raises(RunError, match=message) as failure:
        build_post(settings(**changes), 2, environment)

    assert "s3cret" not in str(failure.value)


def test_address_and_token_come_from_the_environment():
    with serving() as server:
        environment = {"HOOK": f"{server.url}/a", "TOKEN": "s3cret"}
        post = build_post(settings(url_env="HOOK", token_env="TOKEN", url="http://other"), 0, environment)
        problem = post(forms.slack({"message": "x"}, None))

    assert problem is None
    assert server.heard[0].path == "/a"
    assert server.heard[0].headers["x-api-key"] == "s3cret"


def test_a_certificate_that_nobody_signed_is_refused_unless_it_is_not_checked(tmp_path):
    import shutil
    import ssl
    import subprocess

    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *[
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
                "-keyout",
            ],
            key,
            "-out",
            certificate,
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = server.url.replace("http:", "https:")
        checked = HttpPost(url, token=None, ssl_verify=True)(forms.slack({"message": "x"}, None))
        unchecked = HttpPost(url, token=None, ssl_verify=False)(forms.slack({"message": "x"}, None))

    assert checked.kind == "certificate"
    assert not checked.again
    assert unchecked is None
