import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fakes_runtime import TINY_CONFIGS, make_project
from recipe_runtime.__main__ import main
from recipe_runtime.errors import PlanRefused, RunError, StoreError
from recipe_runtime.execute import failures_told
from recipe_runtime.plancopy import keep_plan
from recipe_runtime.record import Recorder
from recipe_schema.events import EVENTS_FILE
from recipe_schema.exits import Exit
from recipe_schema.planfile import plan_id, write_plan


def arguments(project, *more):
    return [str(project.plan_dir), "--run-dir", str(project.run_dir), *more]


def events(project):
    return [json.loads(line) for line in (project.run_dir / EVENTS_FILE).read_text().splitlines()]


def test_a_plan_is_executed_and_a_second_time_there_is_nothing_to_do(tmp_path, capsys):
    project = make_project(tmp_path, random_weights=TINY_CONFIGS, max_steps=2)

    assert main(arguments(project)) == Exit.OK
    first = events(project)
    assert main(arguments(project)) == Exit.OK
    second = events(project)[len(first) :]

    assert first[0]["event"] == "run-started"
    assert first[-1]["event"] == "run-finished"
    finished = [event["stage"] for event in first if event["event"] == "stage-finished"]
    assert finished == ["build-model", "encode-text", "encode-video", "validate", "train", "export"]
    again = [event for event in second if event["event"] == "stage-started"]
    assert all(event["reused"] == event["total"] for event in again)
    assert not [event for event in second if event["event"] == "step"]
    assert (project.run_dir / "plan/plan.json").read_bytes() == (project.plan_dir / "plan.json").read_bytes()
    shown = capsys.readouterr().err
    assert "run test: 2 steps on cpu" in shown
    assert "finished: step 2" in shown


def test_threads_are_those_of_the_recipe(tmp_path):
    project = make_project(tmp_path, random_weights=TINY_CONFIGS, max_steps=1, **{"hardware.torch_num_threads": 2})
    before = torch.get_num_threads()

    try:
        assert main(arguments(project, "--quiet")) == Exit.OK
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_project_may_move(tmp_path):
    project = make_project(tmp_path, max_steps=1)
    moved = tmp_path / "elsewhere"
    project.root.rename(moved)

    code = main([str(moved / "test.plan"), "--run-dir", str(moved / "run"), "--root", str(moved), "--quiet"])

    assert code == Exit.OK
    assert not project.root.exists()


def test_a_stale_plan_is_refused_in_one_sentence(tmp_path, capsys):
    project = make_project(tmp_path)
    (project.root / "clips/a.mp4").unlink()

    assert main(arguments(project, "--quiet")) == Exit.REFUSED

    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1
    assert shown[0].startswith("recipe: 1 of 4 clips changed since the plan was made: ")
    assert events(project)[-1]["event"] == "failed"
    assert events(project)[-1]["exit_code"] == Exit.REFUSED


def test_a_plan_that_was_edited_by_hand_is_refused(tmp_path, capsys):
    project = make_project(tmp_path)
    path = project.plan_dir / "plan.json"
    path.write_text(path.read_text().replace('"train.seed":42', '"train.seed":43'))

    assert main(arguments(project)) == Exit.REFUSED

    assert "was changed after it was frozen" in capsys.readouterr().err


def test_a_missing_plan_is_refused(tmp_path, capsys):
    assert main([str(tmp_path), "--run-dir", str(tmp_path / "run")]) == Exit.REFUSED

    assert "does not exist; make a plan" in capsys.readouterr().err


def test_a_run_that_fails_says_why_and_exits_with_4(tmp_path, capsys):
    project = make_project(tmp_path)
    shutil.rmtree(project.root / "models/tiny/vae")

    assert main(arguments(project, "--quiet")) == Exit.FAILED

    assert "has no folder `vae`" in capsys.readouterr().err


def test_a_fault_of_our_own_is_shown_whole_and_exits_with_5(tmp_path, capsys):
    project = make_project(tmp_path)
    facts = {name: fact for name, fact in project.plan.body.facts.items() if name != "null_caption"}
    body = replace(project.plan.body, facts=facts)
    write_plan(replace(project.plan, body=body, plan_id=plan_id(body)), project.plan_dir)

    assert main(arguments(project, "--quiet")) == Exit.BUG

    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "a fault of the runtime itself" in shown
    assert events(project)[-1]["exit_code"] == Exit.BUG


def test_a_run_directory_that_can_not_be_made_is_named(tmp_path, capsys):
    project = make_project(tmp_path)
    (tmp_path / "file").write_text("")

    assert main([str(project.plan_dir), "--run-dir", str(tmp_path / "file/run")]) == Exit.FAILED

    assert "can't be made" in capsys.readouterr().err


def test_checkpoints_of_another_plan_are_not_mixed_with(tmp_path):
    first, second = make_project(tmp_path / "a"), make_project(tmp_path / "b", **{"train.seed": 1})
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    keep_plan(first.plan, first.plan_dir, run_dir)
    keep_plan(second.plan, second.plan_dir, run_dir)
    (run_dir / "checkpoints/step-00000002").mkdir(parents=True)

    keep_plan(second.plan, second.plan_dir, run_dir)
    keep_plan(second.plan, run_dir / "plan", run_dir)

    with pytest.raises(PlanRefused, match=r"holds checkpoints of another plan \(sha256:.*another `output_dir`"):
        keep_plan(first.plan, first.plan_dir, run_dir)


def test_a_plan_that_can_not_be_kept_is_named(tmp_path):
    project = make_project(tmp_path)
    project.run_dir.mkdir(parents=True)
    (project.run_dir / "plan").write_text("")

    with pytest.raises(RunError, match=r"plan/ledger.parquet can't be written: .*run the same command again"):
        keep_plan(project.plan, project.plan_dir, project.run_dir)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_what_failed_first_is_said_where_its_event_can_not_be_written(tmp_path):
    (tmp_path / EVENTS_FILE).symlink_to("/dev/full")

    with (
        Recorder(tmp_path) as recorder,
        pytest.raises(StoreError, match="the first failure"),
        failures_told(recorder),
    ):
        raise StoreError("the first failure")
