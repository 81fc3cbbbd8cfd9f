import json

import pytest
from huggingface_hub import constants

from fakes_hub import FakeHub
from fakes_runs import make_run, started, tell
from fakes_server import Answer, serving
from recipe_runtime.pages.tail import read_all
from recipe_runtime.process import run_lock
from recipe_runtime.push.__main__ import main
from recipe_schema.planfile import read_plan


@pytest.fixture
def hub(monkeypatch):
    hub = FakeHub()
    with serving(hub) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield hub


def finished_run(tmp_path, **overrides):
    run = make_run(tmp_path, **overrides)
    tell(run, started())
    (run / "export").mkdir()
    (run / "export/model_index.json").write_text("{}")
    mark(run)
    return run


def mark(run, **more):
    facts = {"version": 1, "plan_id": read_plan(run / "plan").plan_id, "step": 4, "weights": "model"}
    (run / "export/recipe.json").write_text(json.dumps({**facts, **more}))


def test_a_finished_run_is_uploaded_with_its_card(hub, tmp_path, capsys):
    run = finished_run(tmp_path, **{"hub.model_id": "me/tiny"})

    assert main([str(run)]) == 0

    assert hub.repositories == {"me/tiny": True}
    assert set(hub.files["me/tiny"]) == {"README.md", "model_index.json", "recipe.json"}
    assert b"library_name: diffusers" in hub.files["me/tiny"]["README.md"]
    assert [event["event"] for event in read_all(run)][-3:] == ["pushed", "stage-progress", "stage-finished"]
    assert "push: uploaded export to" in capsys.readouterr().err


def test_another_repository_may_be_named_and_made_public(hub, tmp_path, capsys):
    run = finished_run(tmp_path)

    assert main([str(run)]) == 4
    assert "give one with `--to OWNER/NAME`" in capsys.readouterr().err
    assert main([str(run), "--to", "me/other", "--public", "--quiet"]) == 0

    assert hub.repositories == {"me/other": False}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        (None, "the run is not finished"),
        ({"step": 2}, "the run is not finished"),
        ({"plan_id": "sha256:other"}, "the run is not finished"),
        ("{", "can't be read"),
    ],
)
def test_a_run_that_is_not_finished_is_refused(hub, tmp_path, capsys, marker, message):
    run = finished_run(tmp_path, **{"hub.model_id": "me/tiny"})
    if marker is None:
        (run / "export/recipe.json").unlink()
    elif isinstance(marker, str):
        (run / "export/recipe.json").write_text(marker)
    else:
        mark(run, **marker)

    assert main([str(run)]) == 3
    assert message in capsys.readouterr().err
    assert hub.repositories == {}


def test_a_run_that_is_at_work_is_left_alone(hub, tmp_path, capsys):
    run = finished_run(tmp_path, **{"hub.model_id": "me/tiny"})

    with run_lock(run):
        assert main([str(run)]) == 4

    assert "works on" in capsys.readouterr().err
    assert hub.repositories == {}


def test_an_upload_that_fails_leaves_a_finished_run(hub, tmp_path, capsys):
    run = finished_run(tmp_path, **{"hub.model_id": "me/tiny"})
    hub.trouble = lambda _: Answer(status=403)

    assert main([str(run)]) == 4

    assert "check that the token is valid" in capsys.readouterr().err
    assert [event["event"] for event in read_all(run)] == ["run-started"]


def test_a_folder_without_a_plan_is_refused(tmp_path, capsys):
    assert main([str(tmp_path)]) == 3
    assert "does not exist" in capsys.readouterr().err
