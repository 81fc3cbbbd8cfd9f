"""Checkpoints of which each process writes its slices: the same bits as whole ones, for any number of processes."""

import itertools
import json
import signal
import subprocess
import time

import pytest
import torch

from fakes_processes import command, environment, run_to_its_end, steps_done
from fakes_runtime import make_context
from fakes_training import StopAfter, encoded_project, same_bits, saved_parts
from recipe_runtime import checkpoint, export, slices, train
from recipe_runtime.errors import CheckpointError, StoppedBySignal
from recipe_runtime.stop import StopRequested
from recipe_runtime.team import Team
from recipe_schema.events import Resumed


pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows no other processes"),
]

SPREAD = {"launch.processes": 2, "launch.strategy": "fsdp2"}
SLICED = {**SPREAD, "checkpoints.layout": "sharded"}
KINDS = {
    "full": {"ema.enabled": True},
    "averaged": {"optimizer.name": "schedule-free"},
    "split": {"model.type": "lora", "model.lora.rank": 4, "model.lora.init": "pissa", "ema.enabled": True},
    "aligned": {
        "regularizers.crepa.enabled": True,
        "regularizers.crepa.feature_source": "backbone",
        "regularizers.crepa.block_index": 0,
        "regularizers.crepa.teacher_block_index": 1,
    },
}


def made(folder, **more):
    return encoded_project(folder, **{"prompts": (), "max_steps": 4, "checkpoints.step_interval": 2, **more})


def run(folder, **more):
    project, ctx, heard = made(folder, **more)
    train.run(ctx, StopRequested())
    return project, heard


def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def folder_of(project, step):
    return checkpoint.folder_of(project.run_dir, step)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_slices_are_the_bits_of_whole_tensors_and_are_gone_on_with(tmp_path, kind):
    whole, _ = run(tmp_path / "whole", **SPREAD, **KINDS[kind])
    project, ctx, _ = made(tmp_path / "sliced", **SLICED, **KINDS[kind])
    stop = StopAfter(2)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)
    assert same_bits(saved_parts(project.run_dir, 2), saved_parts(whole.run_dir, 2))

    train.run(ctx, StopRequested())

    assert same_bits(saved_parts(project.run_dir, 4), saved_parts(whole.run_dir, 4))
    names = set(json.loads((folder_of(project, 4) / "state.json").read_text())["sha256"])
    there = {path.relative_to(folder_of(project, 4)).as_posix() for path in folder_of(project, 4).rglob("*.*")}
    assert there == names | {"state.json"}
    assert {f"model/shard-0000{rank}-model-00001-of-00001.safetensors" for rank in (1, 2)} < names
    assert ("crepa.safetensors" in names) == (kind == "aligned")


@pytest.fixture(scope="module")
def origins(tmp_path_factory):
    """Return two runs of two processes that only differ in how their checkpoints lie on the disk."""
    folder = tmp_path_factory.mktemp("origins")
    return [run(folder / name, **how, **KINDS["full"])[0] for name, how in (("sliced", SLICED), ("whole", SPREAD))]


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{"train.gradient_accumulation_steps": 2}, SPREAD],
    ids=["one-process", "two-and-whole-tensors"],
)
def test_who_writes_no_slices_goes_on_from_them_with_the_same_bits(tmp_path, origins, settings):
    found = []
    for origin in origins:
        begin = {"checkpoints.resume": str(folder_of(origin, 4)), "max_steps": 6}
        project, heard = run(tmp_path / str(len(found)), **settings, **KINDS["full"], **begin)
        assert [event.step for event in heard.of(Resumed)] == [4]
        found.append(saved_parts(project.run_dir, 6))

    assert same_bits(*found)


@pytest.mark.slow
def test_two_go_on_in_slices_where_one_was_and_export_what_whole_tensors_do(tmp_path):
    one, _ = run(tmp_path / "one", **{"train.gradient_accumulation_steps": 2, "ema.enabled": True})
    begin = {"checkpoints.resume": str(folder_of(one, 2)), "ema.enabled": True}
    projects = []
    for name, settings in (("whole", SPREAD), ("sliced", SLICED)):
        project, ctx, _ = made(tmp_path / name, **settings, **begin)
        train.run(ctx, StopRequested())
        export.run(ctx)
        projects.append(project)

    whole, sliced = projects

    assert same_bits(saved_parts(sliced.run_dir, 4), saved_parts(whole.run_dir, 4))
    exported = "export/transformer/diffusion_pytorch_model.safetensors"
    assert (sliced.run_dir / exported).read_bytes() == (whole.run_dir / exported).read_bytes()


@pytest.mark.slow
def test_another_training_does_not_take_slices(tmp_path, origins):
    begin = {"checkpoints.resume": str(origins[0].run_dir), "max_steps": 6, "optimizer.name": "schedule-free"}
    _, ctx, _ = made(tmp_path, **SLICED, **KINDS["full"], **begin)

    with pytest.raises(CheckpointError, match=r"the checkpoint's optimizer does not fit what is trained"):
        train.run(ctx, StopRequested())


@pytest.mark.slow
def test_a_damaged_slice_is_named_and_the_checkpoint_before_is_taken(origins):
    project = origins[0]
    name = "optimizer/shard-00002-model-00001-of-00001.safetensors"
    flip_last_byte(folder_of(project, 4) / name)
    heard = []

    found = checkpoint.latest(project.run_dir, plan_id=make_context(project).plan.plan_id, warn=heard.append)

    assert found.step == 2
    assert f"the checksum of {name} does not match" in heard[0]
    (folder_of(project, 2) / name).unlink()
    assert checkpoint.inspect(folder_of(project, 2), 2) == f"{name} is missing"


@pytest.mark.slow
def test_a_kill_while_slices_are_written_loses_the_steps_since_the_last_whole_ones(tmp_path):
    settings = {**SLICED, "max_steps": 12, "checkpoints.step_interval": 3, "checkpoints.total_limit": 2}
    straight, _, _ = made(tmp_path / "straight", **settings)
    project, _, _ = made(tmp_path / "killed", **settings)
    run_to_its_end(straight)
    process = subprocess.Popen(command(project), env=environment(), stderr=subprocess.PIPE)
    half = project.run_dir / "checkpoints/.tmp-step-00000009/model"
    while process.poll() is None and not half.exists():
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    there = checkpoint.steps_there(project.run_dir)
    assert there[-1] in (6, 9)

    run_to_its_end(project)

    done = steps_done(project)
    again = [step for before, step in itertools.pairwise(done) if step != before + 1]
    assert again in ([], [there[-1] + 1])
    assert same_bits(saved_parts(project.run_dir, 12), saved_parts(straight.run_dir, 12))
    assert checkpoint.steps_there(project.run_dir) == [9, 12]
    assert {path.name for path in (project.run_dir / "checkpoints").iterdir()} == {"step-00000009", "step-00000012"}


def test_tensors_are_dealt_out_to_files_of_about_one_size(monkeypatch):
    monkeypatch.setattr(slices, "_FILE_BYTES", 100)
    tensors = {name: torch.zeros(count) for name, count in (("a", 20), ("b", 30), ("c", 1), ("d", 400), ("e", 1))}

    assert slices._files(tensors, 2) == {"a": 1, "b": 1, "c": 2, "d": 3, "e": 4}


class Second(Team):
    """Says what the second process would, after this one."""

    size = 2

    def collect(self, value):
        return [value, [{}, "process 1 of 2: [Errno 28] No space left on device"]]


def test_a_process_that_can_not_write_is_named(tmp_path):
    with pytest.raises(OSError, match=r"^process 1 of 2: \[Errno 28\] No space"):
        slices.write_share(tmp_path, {"crepa": {"a": torch.zeros(1)}}, Second())
