import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fakes_runtime import CLIPS, Clip, make_context
from fakes_training import encoded_project, same_bits, saved_parts
from recipe_runtime import train
from recipe_runtime.encode_text import text_index
from recipe_runtime.errors import PeerFailed, PlanRefused, RunError
from recipe_runtime.preflight import check_devices
from recipe_runtime.stop import StopRequested
from recipe_schema.events import ClipDrawn, Evaluated, StepDone, Warned
from recipe_schema.plan import Prompt


pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows no other processes"),
]

ROOT = Path(__file__).parents[2]
TWO = {"launch.processes": 2}
LORA = {"model.type": "lora", "model.lora.dropout": 0.3, "model.lora.rank": 4, "optimizer.learning_rate": 1e-2}
KINDS = {
    "full": {"ema.enabled": True, "train.max_grad_norm": 0.05},
    "lora": LORA,
    "image-to-video": {"data.datasets.0.video.is_i2v": True, "data.datasets.0.video.i2v_probability": 0.5},
    "lokr": {**LORA, "model.lora.type": "lokr", "model.lora.dropout": 0.0},
    "split": {**LORA, "model.lora.init": "pissa"},
    "biases": {"train.layer_freeze_strategy": "bitfit"},
}


def settings_of(kind, **more):
    return {"prompts": (), "max_steps": 4, "checkpoints.step_interval": 2, **KINDS[kind], **more}


def close(first, second):
    return first.keys() == second.keys() and all(
        torch.allclose(tensor.double(), second[part][name].double(), rtol=1e-5, atol=1e-6)
        for part in first
        for name, tensor in first[part].items()
    )


def run(folder, kind, **more):
    project, ctx, events = encoded_project(folder, **settings_of(kind, **more))
    train.run(ctx, StopRequested())
    return project, events


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_what_one_does_with_as_many_samples_a_step(tmp_path, kind):
    twice = {"train.gradient_accumulation_steps": 2}
    alone, heard_alone = run(tmp_path / "alone", kind, **{"train.gradient_accumulation_steps": 4})

    together, heard = run(tmp_path / "together", kind, **TWO, **twice)

    assert close(saved_parts(together.run_dir, 4), saved_parts(alone.run_dir, 4))
    mine, theirs = heard.of(StepDone), heard_alone.of(StepDone)
    assert [(e.step, e.epoch, e.bucket, e.sigma) for e in mine] == [
        (e.step, e.epoch, e.bucket, e.sigma) for e in theirs
    ]
    assert [e.loss for e in mine] == pytest.approx([e.loss for e in theirs], rel=1e-5)
    assert [e.grad_norm for e in mine] == pytest.approx([e.grad_norm for e in theirs], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_measure_together_and_train_the_same(tmp_path, kind):
    apart = tuple(Clip(name=f"e{n}.mp4", caption=f"disc {n}", fate="evaluated") for n in range(3))
    measured = {"clips": CLIPS + apart, "evaluation.step_interval": 2, "evaluation.timesteps": 3}
    without, _ = run(tmp_path / "without", kind, **TWO, clips=CLIPS + apart)

    project, heard = run(tmp_path / "with", kind, **TWO, **measured)

    assert same_bits(saved_parts(project.run_dir, 4), saved_parts(without.run_dir, 4))
    figures = heard.of(Evaluated)
    kinds = ("model", "ema") if kind == "full" else ("model",)
    assert [(f.step, f.weights, f.clips) for f in figures] == [(n, w, 3) for n in (0, 2, 4) for w in kinds]
    alone = encoded_project(tmp_path / "alone", **settings_of(kind, **measured))
    train.run(alone[1], StopRequested())
    assert figures[0].losses == alone[2].of(Evaluated)[0].losses


LOOKS = {
    "prompts": (
        Prompt(nickname="main", text="a red disc."),
        Prompt(nickname="cat", text="a cat."),
        Prompt(nickname="dog", text="a dog."),
    ),
    "validation.on_startup": True,
}


def clips_of(run_dir, step):
    return {p.name: p.read_bytes() for p in (run_dir / "validation" / f"step-{step:08d}").glob("*.mp4")}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "strategy"), [("full", "ddp"), ("lora", "ddp"), ("full", "fsdp2"), ("lora", "fsdp2")])
def test_two_processes_share_clips_that_are_bitwise_those_of_one_and_train_the_same(tmp_path, kind, strategy):
    both = {**TWO, "launch.strategy": strategy, "ema.enabled": True, "ema.validation": "comparison"}
    if strategy == "fsdp2" and kind == "lora":
        both["model.lora.dropout"] = 0.0
    without, _ = run(tmp_path / "without", kind, **both)

    project, heard = run(tmp_path / "with", kind, **both, **LOOKS)

    assert same_bits(saved_parts(project.run_dir, 4), saved_parts(without.run_dir, 4))
    names = [f"{prompt.nickname}{ema}" for prompt in LOOKS["prompts"] for ema in ("", "-ema")]
    assert [Path(event.path).stem for event in heard.of(ClipDrawn)] == names * 2
    together = clips_of(project.run_dir, 4)
    shutil.rmtree(project.run_dir / "validation")
    train.run(make_context(project), StopRequested())  # it is trained, so that one process draws what is missing
    assert len(together) == 6
    assert clips_of(project.run_dir, 4) == together


@pytest.mark.slow
def test_a_prompt_that_fails_in_another_process_is_told_and_fails_the_run_at_its_end(tmp_path):
    project, ctx, heard = encoded_project(
        tmp_path,
        **settings_of("full", **TWO, **{**LOOKS, "validation.on_startup": False, "ema.validation": "none"}),
        **{"data.store_dir": "store"},
    )
    ctx.store.index.strike("text", text_index(ctx)["a cat.", True])

    with pytest.raises(RunError, match=r"1 validation clip could not be drawn \(validation clip cat\.mp4 of step 4"):
        train.run(ctx, StopRequested())

    assert ["cat.mp4 of step 4 failed" in event.message for event in heard.of(Warned)] == [True]
    assert sorted(clips_of(project.run_dir, 4)) == ["dog.mp4", "main.mp4"]
    assert saved_parts(project.run_dir, 4)["model"]


@pytest.mark.slow
def test_one_process_goes_on_where_two_were_and_two_where_one_was(tmp_path):
    one = {"train.gradient_accumulation_steps": 2}
    whole, _ = run(tmp_path / "whole", "full", **one)
    half = settings_of("full") | {"max_steps": 2}
    for name, before, after in (("a", TWO, one), ("b", one, TWO)):
        first, ctx, _ = encoded_project(tmp_path / name, **{**half, **before})
        train.run(ctx, StopRequested())

        second, _ = run(tmp_path / f"{name}-2", "full", **after, **{"checkpoints.resume": str(first.run_dir)})

        assert close(saved_parts(second.run_dir, 4), saved_parts(whole.run_dir, 4)), name


@pytest.mark.slow
def test_two_processes_stop_and_go_on_bit_for_bit(tmp_path):
    settings = settings_of("full", **TWO) | {"max_steps": 30, "checkpoints.step_interval": 100}
    straight, _, _ = encoded_project(tmp_path / "straight", **settings)
    train.run(make_context(straight), StopRequested())
    project, _, _ = encoded_project(tmp_path, **settings)
    command = [sys.executable, "-m", "recipe_runtime", str(project.plan_dir), "--run-dir", str(project.run_dir)]
    paths = os.pathsep.join(str(ROOT / name) for name in ("schema", "compiler", "runtime"))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    events, deadline = project.run_dir / "events.jsonl", time.monotonic() + 120
    while process.poll() is None and '"event": "step"' not in (events.read_text() if events.exists() else ""):
        assert time.monotonic() < deadline, "the run takes too long"
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)

    train.run(make_context(project), StopRequested())

    assert process.returncode == 128 + signal.SIGTERM
    told = [json.loads(line)["event"] for line in events.read_text().splitlines()]
    assert told.count("interrupted") == 1
    assert same_bits(saved_parts(project.run_dir, 30), saved_parts(straight.run_dir, 30))


def test_what_another_process_fails_with_ends_the_run(tmp_path):
    _, ctx, heard = encoded_project(tmp_path, **settings_of("full", **TWO))
    (ctx.plan_dir / "ledger.parquet").write_bytes(b"")  # which the first process has read already

    with pytest.raises(PeerFailed, match=r"^process 1 of 2: .*ledger"):
        train.run(ctx, StopRequested())
    assert heard.of(StepDone) == []


def test_a_process_that_dies_on_the_way_ends_the_run(tmp_path):
    seen: list[int] = []

    def kill(event):
        if isinstance(event, StepDone) and event.step == 2:
            children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
            own = [int(c) for c in children if "recipe_runtime.peer" in Path(f"/proc/{c}/cmdline").read_text()]
            seen.extend(own)
            os.kill(own[0], signal.SIGKILL)

    project, _, _ = encoded_project(tmp_path, **settings_of("full", **TWO) | {"max_steps": 400})
    with pytest.raises(PeerFailed, match=r"^process 1 of 2: it said nothing and was ended by SIGKILL"):
        train.run(make_context(project, [kill]), StopRequested())
    assert len(seen) == 1


def test_released_gradients_are_refused(tmp_path):
    _, ctx, _ = encoded_project(
        tmp_path, **settings_of("lora", **TWO, **{"optimizer.release_gradients": True, "train.max_grad_norm": 0.0})
    )

    with pytest.raises(PlanRefused, match="several processes add up their gradients first"):
        train.build_state(ctx)


def test_more_processes_than_cuda_devices_are_refused(tmp_path, monkeypatch):
    _, ctx, _ = encoded_project(tmp_path, **settings_of("full", **TWO))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)

    with pytest.raises(RunError, match="needs as many CUDA devices, and torch finds 1"):
        check_devices(dataclasses.replace(ctx, device=torch.device("cuda")))
    check_devices(ctx)
