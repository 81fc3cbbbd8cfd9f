"""Checkpoints that are written in the background, and runs that go on with changed settings."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fakes_runtime import make_context, make_project
from fakes_training import StopAfter, encoded_project, same_bits, saved_parts
from recipe_runtime import checkpoint, saving, train
from recipe_runtime.errors import CheckpointError, PlanRefused, StoppedBySignal
from recipe_runtime.plancopy import keep_plan
from recipe_runtime.stop import StopRequested
from recipe_schema.earlier import is_earlier
from recipe_schema.events import CheckpointSaved, Interrupted, Resumed, StepDone, Warned


ROOT = Path(__file__).parents[2]
BACKGROUND = {"prompts": (), "checkpoints.background": True}


def in_the_place_of(first, folder, **settings):
    """Make a project that writes into the run directory of another one."""
    return dataclasses.replace(make_project(folder, prompts=(), **settings), run_dir=first.run_dir)


@pytest.mark.parametrize("more", [{"ema.enabled": True}, {"optimizer.name": "schedule-free"}], ids=["ema", "averaged"])
def test_a_checkpoint_of_the_background_holds_what_one_at_once_does(tmp_path, monkeypatch, more):
    plain, ctx, _ = encoded_project(tmp_path / "plain", prompts=(), **more)
    train.run(ctx, StopRequested())
    project, ctx, heard = encoded_project(tmp_path / "background", **{**BACKGROUND, **more})
    write = checkpoint.save
    seen = []

    def late(*arguments, **options):
        if options["step"] == 2:
            deadline = time.monotonic() + 30
            while len(heard.of(StepDone)) < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
            seen.append(len(heard.of(StepDone)))
        return write(*arguments, **options)

    monkeypatch.setattr(saving.checkpoint, "save", late)

    train.run(ctx, StopRequested())

    assert seen[0] >= 3  # training went on while step 2 waited
    assert [event.step for event in heard.of(CheckpointSaved)] == [2, 4]
    for step in (2, 4):
        assert same_bits(saved_parts(project.run_dir, step), saved_parts(plain.run_dir, step))


def test_a_second_checkpoint_waits_for_the_first_and_a_stop_for_both(tmp_path, monkeypatch):
    project, _, _ = encoded_project(tmp_path, **BACKGROUND, max_steps=8, **{"checkpoints.step_interval": 1})
    stop = StopAfter(5)
    heard = []
    ctx = make_context(project, [stop, heard.append])
    write, busy = checkpoint.save, threading.Lock()

    def alone(*arguments, **options):
        assert busy.acquire(blocking=False), "one at a time"
        try:
            time.sleep(0.05)
            return write(*arguments, **options)
        finally:
            busy.release()

    monkeypatch.setattr(saving.checkpoint, "save", alone)

    with pytest.raises(StoppedBySignal):
        train.run(ctx, stop)

    assert [event.step for event in heard if isinstance(event, CheckpointSaved)] == [1, 2, 3, 4, 5]
    assert heard[-1] == Interrupted(signal="SIGTERM", step=5)


def test_a_disk_that_fills_up_in_the_background_ends_the_run(tmp_path, monkeypatch):
    project, ctx, _ = encoded_project(tmp_path, **BACKGROUND, max_steps=6)

    def full(*_arguments, **options):
        raise CheckpointError(f"step {options['step']}: no space")

    monkeypatch.setattr(saving.checkpoint, "save", full)

    with pytest.raises(CheckpointError, match="step 2: no space"):
        train.run(ctx, StopRequested())
    assert not list((project.run_dir / "checkpoints").glob("step-*"))


@pytest.mark.slow
def test_a_kill_loses_no_more_than_the_steps_since_the_last_whole_checkpoint(tmp_path):
    settings = {**BACKGROUND, "max_steps": 40, "checkpoints.step_interval": 3}
    straight, ctx, _ = encoded_project(tmp_path / "straight", **settings)
    train.run(ctx, StopRequested())
    project, _, _ = encoded_project(tmp_path / "killed", **settings)
    command = [
        sys.executable,
        "-m",
        "recipe_runtime",
        str(project.plan_dir),
        "--run-dir",
        str(project.run_dir),
        "--quiet",
    ]
    paths = os.pathsep.join(str(ROOT / name) for name in ("schema", "runtime"))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    events = project.run_dir / "events.jsonl"
    for wanted in (4, 11, 20):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while f'"event": "step", "step": {wanted},' not in (events.read_text() if events.exists() else ""):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        told = [json.loads(line) for line in events.read_text().splitlines() if line.endswith("}")]
        whole = max((event["step"] for event in told if event["event"] == "checkpoint"), default=0)
        found = checkpoint.latest(project.run_dir, plan_id=project.plan.plan_id, warn=lambda _: None)
        assert whole <= (0 if found is None else found.step)

    train.run(make_context(project), StopRequested())

    assert same_bits(saved_parts(project.run_dir, 40), saved_parts(straight.run_dir, 40))


def test_a_run_goes_on_with_a_change_that_is_accepted_by_name(tmp_path):
    first, ctx, _ = encoded_project(tmp_path, prompts=(), max_steps=2)
    keep_plan(first.plan, first.plan_dir, ctx.run_dir)
    train.run(ctx, StopRequested())
    longer = {"max_steps": 4, "data.store_dir": first.plan.settings["data.store_dir"]}
    refused = in_the_place_of(first, tmp_path / "refused", **longer)
    with pytest.raises(PlanRefused, match=r"train\.max_steps \(2 → 4\).*`checkpoints\.accept_changes`"):
        keep_plan(refused.plan, refused.plan_dir, refused.run_dir)
    named = in_the_place_of(first, tmp_path / "named", **longer, **{"checkpoints.accept_changes": ("train.max_steps",)})
    heard = []
    ctx = make_context(named, [heard.append])

    keep_plan(named.plan, named.plan_dir, named.run_dir)
    train.run(ctx, StopRequested())

    assert [event.step for event in heard if isinstance(event, Resumed)] == [2]
    assert is_earlier(named.run_dir, first.plan.plan_id)
    whole, ctx, _ = encoded_project(tmp_path / "whole", prompts=(), max_steps=4)
    train.run(ctx, StopRequested())
    assert same_bits(saved_parts(named.run_dir, 4), saved_parts(whole.run_dir, 4))  # a constant rate has no end


@pytest.mark.parametrize(
    ("change", "accepted", "fits"),
    [
        ({"train.seed": 7}, ("train",), True),
        ({"train.seed": 7}, ("train.see",), False),
        ({"train.seed": 7, "optimizer.beta2": 0.9}, ("train.seed",), False),
        ({"clips": "fewer"}, ("train",), False),
        ({"clips": "fewer"}, ("data",), True),
    ],
)
def test_all_that_changed_has_to_be_named(tmp_path, change, accepted, fits):
    from fakes_runtime import CLIPS

    first = make_project(tmp_path, prompts=())
    first.run_dir.mkdir(parents=True)
    keep_plan(first.plan, first.plan_dir, first.run_dir)
    (first.run_dir / "checkpoints" / "step-00000002").mkdir(parents=True)
    change = {"clips": CLIPS[:3]} if "clips" in change else change
    second = in_the_place_of(first, tmp_path / "second", **change, **{"checkpoints.accept_changes": accepted})

    if fits:
        keep_plan(second.plan, second.plan_dir, second.run_dir)
    else:
        with pytest.raises(PlanRefused, match="has changed"):
            keep_plan(second.plan, second.plan_dir, second.run_dir)
    assert is_earlier(first.run_dir, first.plan.plan_id) == fits


def test_a_plan_that_ends_before_the_checkpoint_has_nothing_to_train(tmp_path):
    first, ctx, _ = encoded_project(tmp_path, prompts=(), max_steps=4)
    keep_plan(first.plan, first.plan_dir, ctx.run_dir)
    train.run(ctx, StopRequested())
    store = first.plan.settings["data.store_dir"]
    accepted = {"checkpoints.accept_changes": ("train.max_steps",), "data.store_dir": store}
    shorter = in_the_place_of(first, tmp_path / "shorter", max_steps=3, **accepted)
    keep_plan(shorter.plan, shorter.plan_dir, shorter.run_dir)

    with pytest.raises(
        CheckpointError, match=r"has 4 steps behind it and this plan ends after step 3: there is nothing"
    ):
        train.run(make_context(shorter), StopRequested())


def test_who_goes_back_with_other_settings_is_not_led_on_to_what_the_old_ones_made(tmp_path):
    first, ctx, _ = encoded_project(tmp_path, prompts=(), max_steps=6)
    keep_plan(first.plan, first.plan_dir, ctx.run_dir)
    train.run(ctx, StopRequested())
    left = saved_parts(first.run_dir, 6)
    change = {"max_steps": 6, "optimizer.learning_rate": 1e-2, "checkpoints.accept_changes": ("optimizer",)}
    change["data.store_dir"] = first.plan.settings["data.store_dir"]
    back = in_the_place_of(first, tmp_path / "back", **change, **{"checkpoints.resume": "2"})
    onward = in_the_place_of(first, tmp_path / "onward", **change)
    heard, stop = [], StopAfter(5)
    keep_plan(back.plan, back.plan_dir, back.run_dir)
    assert onward.plan.plan_id == back.plan.plan_id

    for _ in range(2):  # what stood there from another time makes way
        with pytest.raises(StoppedBySignal):
            train.run(make_context(back, [stop, heard.append]), stop)
        stop = StopAfter(5)
        for made in checkpoint.steps_there(first.run_dir)[1:]:  # else it would go on from there
            shutil.rmtree(first.run_dir / "checkpoints" / checkpoint.step_name(made))
        shutil.copytree(
            first.run_dir / "set-aside" / first.plan.plan_id[7:19] / "checkpoints" / checkpoint.step_name(6),
            first.run_dir / "checkpoints" / checkpoint.step_name(6),
        )
    (first.run_dir / "checkpoints" / checkpoint.step_name(6) / "state.json").unlink()  # broken ones stay as they are
    with pytest.raises(StoppedBySignal):
        train.run(make_context(back, [stop, heard.append]), stop)
    shutil.rmtree(first.run_dir / "checkpoints" / checkpoint.step_name(6))
    train.run(make_context(onward, [heard.append]), StopRequested())

    assert [event.step for event in heard if isinstance(event, Resumed)] == [2, 2, 2, 5]
    told = [event.message for event in heard if isinstance(event, Warned)]
    assert len(told) == 3
    assert "goes back to step 2 with another plan" in told[0]
    assert not same_bits(saved_parts(first.run_dir, 6), left)
    aside = first.run_dir / "set-aside" / first.plan.plan_id[7:19]
    assert same_bits(saved_parts(aside, 6), left)
    assert checkpoint.steps_there(aside) == [4, 6]


def test_going_back_with_the_same_plan_moves_nothing_and_what_can_not_be_moved_is_told(tmp_path):
    project, ctx, _ = encoded_project(tmp_path, prompts=(), max_steps=4)
    train.run(ctx, StopRequested())

    assert checkpoint.set_aside(project.run_dir, after=2, plan_id=project.plan.plan_id) == []
    assert not (project.run_dir / "set-aside").exists()
    (project.run_dir / "set-aside").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"step-00000004 can't be moved to .*set-aside"):
        checkpoint.set_aside(project.run_dir, after=2, plan_id="sha256:another")
