import json
from dataclasses import replace

import pytest

from fakes_runtime import make_context
from fakes_training import EventList, StopAfter, encoded_project, same_bits, saved_parts
from recipe_runtime import preflight, resume, train
from recipe_runtime.checkpoint import step_name
from recipe_runtime.errors import CheckpointError, StoppedBySignal
from recipe_runtime.plancopy import keep_plan
from recipe_runtime.stop import StopRequested
from recipe_schema import record
from recipe_schema.events import Resumed, StepDone, Warned


PLAIN = {"prompts": (), "checkpoints.step_interval": 2}


def trained(folder, **settings):
    project, ctx, events = encoded_project(folder, **{"max_steps": 4, **PLAIN, **settings})
    train.run(ctx, StopRequested())
    return project, events


def going_on(ctx, asked):
    """Return the same run with another `checkpoints.resume`."""
    settings = record.replace(ctx.settings, checkpoints=record.replace(ctx.settings.checkpoints, resume=asked))
    return replace(ctx, settings=settings)


def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_step_is_gone_back_to_and_gives_the_same_again(tmp_path):
    project, _ = trained(tmp_path)
    before = saved_parts(project.run_dir, 4)
    heard = EventList()

    train.run(going_on(make_context(project, [heard]), "2"), StopRequested())

    assert heard.of(Resumed) == [Resumed(step=2, path="checkpoints/step-00000002")]
    assert [event.step for event in heard.of(StepDone)] == [3, 4]
    assert same_bits(saved_parts(project.run_dir, 4), before)


def test_a_job_that_is_started_again_goes_back_once(tmp_path):
    project, _ = trained(tmp_path, max_steps=8, **{"checkpoints.total_limit": 3})
    before = saved_parts(project.run_dir, 8)

    def go(asked, until=None):
        heard, stop = EventList(), StopRequested() if until is None else StopAfter(until)
        listeners = [heard] if until is None else [heard, stop]
        try:
            train.run(going_on(make_context(project, listeners), asked), stop)
        except StoppedBySignal:
            assert until is not None
        return [event.step for event in heard.of(Resumed)] + [event.step for event in heard.of(StepDone)]

    assert go("4", until=5) == [4, 5]
    assert go("4", until=7) == [5, 6, 7]  # step 8 is of before
    assert not (project.run_dir / "checkpoints" / step_name(4)).exists()  # the limit is three
    assert go("4") == [7, 8]
    assert go("4") == []
    assert go("6", until=7) == [6, 7]
    assert same_bits(saved_parts(project.run_dir, 8), before)
    with pytest.raises(CheckpointError, match=r"`checkpoints.resume: 4` asks for a checkpoint that .* does not have"):
        go("4")  # the run went back to another one since
    said = json.loads((project.run_dir / "checkpoints" / step_name(7) / "state.json").read_text())
    assert said["gone_back"] == {"step": 6, "count": 2}


def test_a_broken_checkpoint_since_going_back_is_passed_over(tmp_path):
    project, _ = trained(tmp_path, max_steps=6)
    train.run(going_on(make_context(project), "2"), StopRequested())
    flip_last_byte(project.run_dir / "checkpoints" / step_name(6) / "model.safetensors")
    heard: list[str] = []

    found = resume.find(going_on(make_context(project), "2"), heard.append)

    assert (found.step, found.gone_back) == (4, {"step": 2, "count": 1})
    assert "passed over" in heard[0]


@pytest.mark.parametrize("form", ["checkpoint", "run", "checkpoints folder"])
def test_a_new_run_goes_on_from_another_runs_checkpoint(tmp_path, form):
    average = {"ema.enabled": True}
    first, _ = trained(tmp_path / "first", **average)
    straight, _ = trained(tmp_path / "straight", max_steps=6, **average)
    folder = {"run": first.run_dir, "checkpoints folder": first.run_dir / "checkpoints"}.get(
        form, first.run_dir / "checkpoints" / step_name(2)
    )
    begins = 2 if form == "checkpoint" else 4
    project, _, _ = encoded_project(tmp_path, max_steps=6, **PLAIN, **average, **{"checkpoints.resume": str(folder)})
    heard = EventList()

    stop = StopAfter(5)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop, heard]), stop)
    train.run(make_context(project, [heard]), StopRequested())

    assert [(e.step, e.path) for e in heard.of(Resumed)] == [
        (begins, str(first.run_dir / "checkpoints" / step_name(begins))),
        (5, "checkpoints/step-00000005"),
    ]
    assert [event.step for event in heard.of(StepDone)] == [*range(begins + 1, 6), 6]
    assert same_bits(saved_parts(project.run_dir, 6), saved_parts(straight.run_dir, 6))
    state = json.loads((project.run_dir / "checkpoints" / step_name(6) / "state.json").read_text())
    assert state["begun_from"] == {"path": str(folder), "step": begins}


def test_a_run_that_began_elsewhere_is_not_taken_for_one_that_goes_on_from_a_path(tmp_path):
    first, _ = trained(tmp_path / "first")
    project, _ = trained(tmp_path, max_steps=6)

    with pytest.raises(CheckpointError, match=r"holds step 6 of a run that did not begin there; name another"):
        resume.find(going_on(make_context(project), str(first.run_dir)), print)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("0", "asks for the beginning, of which there is no checkpoint"),
        ("3", r"did you mean 2\? There are the steps 2, 4$"),
        ("{run}/checkpoints/step-00000005", r"which does not exist; did you mean 4\? There are the steps 2, 4$"),
        ("{run}/elsewhere", r"elsewhere, and there are no checkpoints; name a run directory"),
        ("{run}", r"has 4 steps behind it and this plan ends after step 4; raise `train.max_steps` above 4"),
    ],
)
def test_what_can_not_be_gone_on_from_is_refused_before_any_model_is_loaded(tmp_path, asked, says):
    project, _ = trained(tmp_path / "first")
    asked = asked.format(run=project.run_dir)
    if "/" in asked:
        project = encoded_project(tmp_path, max_steps=4, **PLAIN)[0]

    with pytest.raises(CheckpointError, match=says):
        preflight.check(going_on(make_context(project), asked))


def test_a_damaged_checkpoint_is_named_and_the_next_one_offered(tmp_path):
    project, _ = trained(tmp_path / "first")
    later, _, _ = encoded_project(tmp_path, max_steps=6, **PLAIN)
    folder = project.run_dir / "checkpoints"
    flip_last_byte(folder / step_name(4) / "model.safetensors")
    heard: list[str] = []

    broken = r"step-00000004 is broken \(the checksum of model.safetensors does not match\)"
    with pytest.raises(CheckpointError, match=broken + r"; did you mean 2\?"):
        preflight.check(going_on(make_context(project), "4"))
    with pytest.raises(CheckpointError, match=broken + r"; did you mean 2\?"):
        preflight.check(going_on(make_context(later), str(folder / step_name(4))))
    found = resume.find(going_on(make_context(later), str(project.run_dir)), heard.append)
    assert found.step == 2
    assert "passed over" in heard[0]
    flip_last_byte(folder / step_name(2) / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is whole"):
        resume.find(going_on(make_context(later), str(project.run_dir)), heard.append)
    (folder / step_name(4) / "state.json").unlink()
    (folder / step_name(2)).rename(folder / "gone")
    with pytest.raises(CheckpointError, match=r"there are no others: set `checkpoints.resume: latest`"):
        resume.find(going_on(make_context(project), "4"), heard.append)


def test_a_step_of_another_plan_is_refused(tmp_path):
    project, _ = trained(tmp_path / "first")
    other, _, _ = encoded_project(tmp_path, max_steps=6, **PLAIN)
    (other.run_dir / "checkpoints").symlink_to(project.run_dir / "checkpoints")

    with pytest.raises(CheckpointError, match="belongs to another plan"):
        resume.find(going_on(make_context(other), "2"), print)


def test_a_checkpoint_without_the_average_does_not_fit_a_run_that_keeps_one(tmp_path):
    first, _ = trained(tmp_path / "first")
    settings = {"ema.enabled": True, "checkpoints.resume": str(first.run_dir)}
    _, ctx, events = encoded_project(tmp_path, max_steps=6, **PLAIN, **settings)

    with pytest.raises(CheckpointError, match="the checkpoint's ema does not fit what is trained"):
        train.run(ctx, StopRequested())
    assert not events.of(Warned)


def test_a_run_of_another_plan_is_refused_with_what_changed(tmp_path):
    first, _ = trained(tmp_path / "first")
    keep_plan(first.plan, first.plan_dir, first.run_dir)
    second, _, _ = encoded_project(tmp_path, max_steps=6, **PLAIN, **{"train.batch_size": 2})

    with pytest.raises(Exception, match=r"has changed: .*train.batch_size \(1 → 2\), train.max_steps \(4 → 6\)\. Undo"):
        keep_plan(second.plan, second.plan_dir, first.run_dir)
