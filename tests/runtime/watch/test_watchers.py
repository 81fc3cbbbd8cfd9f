import importlib.util
import json
import shutil
import threading
from types import SimpleNamespace

import yaml
from huggingface_hub import constants
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fakes_hub import FakeHub
from fakes_runtime import make_project
from fakes_server import Answer, serving
from recipe_runtime.__main__ import main
from recipe_runtime.record import Recorder
from recipe_runtime.watch import tracker_tensorboard
from recipe_runtime.watch.watchers import Watchers
from recipe_schema.events import EVENTS_FILE, StepDone, Warned
from recipe_schema.exits import Exit


def run(project, *more):
    return main([str(project.plan_dir), "--run-dir", str(project.run_dir), *more])


def events(project, kind=None):
    records = [json.loads(line) for line in (project.run_dir / EVENTS_FILE).read_text().splitlines()]
    return [record for record in records if kind in (None, record["event"])]


def everything_written(project):
    files = [path for path in project.run_dir.rglob("*") if path.is_file() and path.stat().st_size < 10**6]
    return b"".join(path.read_bytes() for path in files)


def test_a_run_is_followed_by_webhook_and_tracker_and_its_result_is_uploaded(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOOK_TOKEN", "hook-s3cret")
    monkeypatch.setenv("MY_HF", "hf_s3cret")
    hub = FakeHub()
    with serving() as server, serving(hub) as hub_server:
        monkeypatch.setattr(constants, "ENDPOINT", hub_server.url)
        monkeypatch.setenv("HOOK", f"{server.url}/address-s3cret")
        project = make_project(
            tmp_path,
            webhooks=[{"url_env": "HOOK", "token_env": "HOOK_TOKEN"}],
            **{
                "tracking.report_to": ["tensorboard"],
                "hub.push": True,
                "hub.push_checkpoints": True,
                "hub.model_id": "tiny",
                "hub.token_env": "MY_HF",
            },
        )
        assert run(project) == Exit.OK

    told = [json.loads(heard.body) for heard in server.heard]
    kinds = [payload["event"]["event"] for payload in told]
    untold = {"step", "stage-progress", "memory", "validation-sheet"}
    assert kinds == [event["event"] for event in events(project) if event["event"] not in untold]
    assert kinds[0] == "run-started"
    assert kinds[-1] == "run-finished"
    assert {payload["run"] for payload in told} == {"tiny"}
    assert all(heard.headers["x-api-key"] == "hook-s3cret" for heard in server.heard)

    found = EventAccumulator(str(project.run_dir / "tensorboard"))
    found.Reload()
    assert [point.step for point in found.Scalars("train/loss")] == [1, 2, 3, 4]
    assert [image.step for image in found.Images("validation/main")] == [4]

    files = hub.files["me/tiny"]
    assert {"README.md", "model_index.json", "transformer/diffusion_pytorch_model.safetensors"} <= set(files)
    assert "checkpoints/step-00000004/state.json" in files
    assert yaml.safe_load(files["README.md"].split(b"---")[1])["library_name"] == "diffusers"
    assert hub.commits[-1] == "test, step 4"
    assert [event["path"] for event in events(project, "pushed")][-1] == "export"

    shown = capsys.readouterr().err
    assert "push: uploaded export to http://127.0.0.1" in shown
    for secret in ("hook-s3cret", "hf_s3cret", "address-s3cret"):
        assert secret not in shown
        assert secret.encode() not in everything_written(project)


def test_a_run_that_is_finished_can_be_uploaded_by_the_same_command(tmp_path, monkeypatch):
    settings = {"prompts": (), "max_steps": 2}
    first = make_project(tmp_path, **settings)
    assert run(first, "--quiet") == Exit.OK
    hub = FakeHub()
    with serving(hub) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", "hf_x")
        shutil.rmtree(first.root / "models")
        shutil.rmtree(first.plan_dir)
        again = make_project(tmp_path, **settings, **{"hub.push": True, "hub.model_id": "them/discs"})
        assert run(again, "--quiet") == Exit.OK

    assert again.plan.plan_id == first.plan.plan_id
    assert hub.commits == ["test, step 2"]
    assert len(events(again, "step")) == 2


def test_a_dead_endpoint_neither_stops_nor_floods_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(Watchers.__init__, "__kwdefaults__", {"last_wait": 0.2})
    with serving() as server:
        url = server.url
    project = make_project(tmp_path, webhooks=[{"url": url}])

    assert run(project, "--quiet") == Exit.OK

    warnings = [event["message"] for event in events(project, "warning")]
    assert len(warnings) == 2
    assert warnings[0] == "tracking.webhooks.0 (raw) can't be reached (ConnectionRefusedError)"
    assert warnings[1].startswith("tracking.webhooks.0 (raw) did not take ")
    assert len(events(project, "step")) == 4


def test_a_failure_before_training_is_told_to_webhooks(tmp_path):
    with serving() as server:
        project = make_project(tmp_path, webhooks=[{"url": server.url, "level": "error"}])
        (project.root / "clips/a.mp4").unlink()
        assert run(project, "--quiet") == Exit.REFUSED

    (failed,) = [json.loads(heard.body) for heard in server.heard]
    assert failed["level"] == "critical"
    assert failed["message"].startswith("failed: 1 of 4 clips changed")


def test_an_address_that_is_not_set_stops_a_run_before_it_begins(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("HOOK", raising=False)
    project = make_project(tmp_path, webhooks=[{"url_env": "HOOK"}])

    assert run(project, "--quiet") == Exit.FAILED

    assert "wants the variable HOOK of the environment, which is not set" in capsys.readouterr().err
    assert [event["event"] for event in events(project)] == ["failed"]


def test_a_tracker_that_is_not_installed_stops_a_run_before_it_begins_and_webhooks_hear_of_it(
    tmp_path, capsys, monkeypatch
):
    found = {"tensorboard": SimpleNamespace(origin=None)}  # as a folder of that name in the working directory has it
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: found.get(name) or real(name, *rest))
    with serving() as server:
        project = make_project(tmp_path, webhooks=[{"url": server.url}], **{"tracking.report_to": ["tensorboard"]})
        assert run(project, "--quiet") == Exit.FAILED

    assert "needs the package tensorboard: pip install 'sana-recipes[train,tensorboard]'" in capsys.readouterr().err
    assert [json.loads(heard.body)["event"]["event"] for heard in server.heard] == ["failed"]


def test_a_tracker_that_does_not_begin_stops_a_run_before_training(tmp_path, capsys):
    project = make_project(tmp_path, **{"tracking.report_to": ["tensorboard"]})
    project.run_dir.mkdir(parents=True)
    (project.run_dir / "tensorboard").write_text("a file, and no folder")

    assert run(project, "--quiet") == Exit.FAILED

    assert "tensorboard does not begin (FileExistsError: " in capsys.readouterr().err
    assert events(project, "step") == []


def test_a_tracker_that_fails_later_is_a_warning(tmp_path, monkeypatch):
    def fail(*_arguments):
        raise OSError("no more disk")

    monkeypatch.setattr(tracker_tensorboard.FileWriter, "add_summary", fail)
    project = make_project(tmp_path, **{"tracking.report_to": ["tensorboard"]})

    assert run(project, "--quiet") == Exit.OK

    (warning,) = events(project, "warning")
    assert warning["message"].startswith("tensorboard failed and is told nothing any more (OSError: no more disk)")
    assert len(events(project, "step")) == 4


def test_all_webhooks_together_have_one_bounded_wait_at_the_end(tmp_path):
    hold = threading.Event()
    with serving(lambda _: Answer(hold=hold)) as server, Recorder(tmp_path) as recorder:
        project = make_project(tmp_path / "p", webhooks=[{"url": server.url}] * 3)
        following = Watchers(recorder, last_wait=0.3)
        following.begin(project.plan, tmp_path, {})
        recorder.emit(Warned(message="x"))
        following.close()
        hold.set()

    messages = [json.loads(line)["message"] for line in (tmp_path / EVENTS_FILE).read_text().splitlines()]
    assert sorted(messages[1:]) == [f"tracking.webhooks.{number} (raw) did not take 1 messages" for number in range(3)]


def test_steps_never_wait_for_an_endpoint_that_stalls(tmp_path):
    """The endpoint takes nothing until the last step is counted: a step that waited would never be."""
    hold = threading.Event()
    steps = []

    def count(event):
        if isinstance(event, StepDone):
            steps.append(event.step)

    with serving(lambda _: Answer(hold=hold)) as server, Recorder(tmp_path, [count]) as recorder:
        project = make_project(tmp_path / "p", webhooks=[{"url": server.url}], **{"tracking.webhook_interval": 30.0})
        following = Watchers(recorder, last_wait=0.0)
        following.begin(project.plan, tmp_path, {})
        for number in range(1, 501):
            values = {"epoch": 0.5, "bucket": "b", "loss": 1.0, "learning_rate": 1e-4, "grad_norm": 1.0, "sigma": 0.5}
            recorder.emit(StepDone(step=number, seconds=0.1, data_seconds=0.0, **values))
            recorder.emit(Warned(message=f"after {number}"))
        assert not hold.is_set()
        assert steps == list(range(1, 501))
        following.close()
        hold.set()
