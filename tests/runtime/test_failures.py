"""What happens when a step goes wrong: a fault is planted, and what is left behind and told of it is looked at."""

import dataclasses
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fakes_runtime import make_context
from fakes_store import replace_value
from fakes_training import batch_maker, encoded_project, same_bits, saved_parts
from recipe_runtime import memory, probe, replay, step as step_module, train
from recipe_runtime.alarms import SpikeAlarm
from recipe_runtime.encode_video import latent_index
from recipe_runtime.errors import BundleError, NonFiniteLoss, OutOfMemory
from recipe_runtime.memory import is_out_of_memory, shortage_explained
from recipe_runtime.stop import StopRequested
from recipe_runtime.trace import first_nonfinite
from recipe_schema.events import LossSpiked, MemoryProbed, StepDone, StepHung
from recipe_schema.planfile import write_plan


ROOT = Path(__file__).parents[2]
CHECKPOINTED = {"memory.gradient_checkpointing": True}
LORA = {"model.type": "lora", "model.lora.rank": 4, "prompts": ()}


def traced(ctx, plant):
    """Return what is found in a step of a fresh model in which a fault was planted."""
    state = train.build_state(ctx)
    batch = batch_maker(ctx).make(0)
    batch = plant(state, batch) or batch
    return first_nonfinite(state.model, batch.parts, samples=len(batch.samples), settings=ctx.settings.train)


def poison_weight(name, value=math.nan):
    def plant(state, _batch):
        with torch.no_grad():
            dict(state.model.named_parameters())[name].view(-1)[0] = value

    return plant


@pytest.mark.parametrize("more", [{}, CHECKPOINTED, LORA], ids=["full", "checkpointed", "lora"])
def test_a_weight_that_is_no_number_is_named(tmp_path, more):
    _, ctx, _ = encoded_project(tmp_path, **{"prompts": (), **more})
    name = "transformer_blocks.1.ff.conv_point.weight"

    found = traced(ctx, poison_weight(name))

    assert (found.where, found.name, found.nan, found.infinite) == ("weight", name, 1, 0)
    assert found.micro_batch is None
    assert found.dtype == "float32"


@pytest.mark.parametrize("more", [{}, CHECKPOINTED], ids=["kept", "checkpointed"])
def test_the_innermost_layer_that_overflows_is_named(tmp_path, more):
    _, ctx, _ = encoded_project(tmp_path, **{"prompts": (), **more})

    found = traced(ctx, poison_weight("transformer_blocks.1.ff.conv_inverted.weight", 3e38))

    assert (found.where, found.name) == ("forward", "transformer_blocks.1.ff.conv_inverted")
    assert found.infinite > 0
    assert found.before is not None
    assert found.before.startswith("the output of transformer_blocks.")
    assert found.sentence().startswith("the output of transformer_blocks.1.ff.conv_inverted (")


@pytest.mark.parametrize("more", [{}, CHECKPOINTED], ids=["kept", "checkpointed"])
def test_a_gradient_that_breaks_behind_a_finite_forward_pass_is_named(tmp_path, more):
    _, ctx, _ = encoded_project(tmp_path, **{"prompts": (), **more})

    class Breaking(torch.autograd.Function):
        @staticmethod
        def forward(_ctx, tensor):
            return tensor.clone()

        @staticmethod
        def backward(_ctx, gradient):
            return gradient * math.inf

    def plant(state, _batch):
        layer = state.model.transformer_blocks[1].attn2
        layer.register_forward_hook(lambda _m, _i, output: Breaking.apply(output), prepend=True)

    found = traced(ctx, plant)

    assert found.where == "backward"
    assert found.name.startswith("transformer_blocks.1.attn2")
    assert found.before.startswith("the gradient")


def test_a_loss_that_overflows_is_named_before_the_gradients_that_follow(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, prompts=())

    def plant(_state, batch):
        parts = tuple(
            dataclasses.replace(part, weights=torch.full_like(part.latents[:, :1], 3e38)) for part in batch.parts
        )
        return dataclasses.replace(batch, parts=parts)

    found = traced(ctx, plant)

    assert (found.where, found.micro_batch) == ("loss", 0)


def test_a_step_without_a_fault_gives_nothing(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, prompts=())

    assert traced(ctx, lambda _state, _batch: None) is None


def failed(tmp_path, monkeypatch, **settings):
    """Train with a weight that turns into no number after two steps, and return the run directory and the error."""
    project, ctx, _ = encoded_project(tmp_path, **{"prompts": (), **settings})
    build = train.build_state

    def planted(*given):
        state = build(*given)
        weight = next(iter(state.optimized().values()))

        def spoil(*_):
            if state.step == 2:
                with torch.no_grad():
                    weight.view(-1)[0] = math.nan

        state.model.register_forward_pre_hook(spoil)
        return state

    with monkeypatch.context() as patch:
        patch.setattr(train, "build_state", planted)
        with pytest.raises(NonFiniteLoss) as failure:
            train.run(ctx, StopRequested())
    return project, ctx, failure.value


GIVEN = {"data.datasets.0.video.is_i2v": True, "data.datasets.0.video.i2v_probability": 1.0}


CREPA = {
    "regularizers.crepa.enabled": True,
    "regularizers.crepa.block_index": 0,
    "regularizers.crepa.teacher_block_index": 1,
}
SELF_FLOW = {
    **CREPA,
    "ema.enabled": True,
    "regularizers.crepa.feature_source": "self_flow",
    "regularizers.rollout.max_step_offset": 3,
    "regularizers.rollout.probability": 1.0,
}


@pytest.mark.parametrize(
    ("more", "beside"),
    [
        ({}, []),
        ({**LORA, "model.lora.dropout": 0.2}, []),
        (GIVEN, []),
        ({**GIVEN, **SELF_FLOW}, ["alignment.safetensors"]),
    ],
    ids=["full", "lora", "image-to-video", "self-flow"],
)
def test_a_failed_step_is_taken_again_from_what_it_left(tmp_path, monkeypatch, capsys, more, beside):
    project, ctx, error = failed(tmp_path, monkeypatch, **more)
    folder = project.run_dir / "failure-00000003"
    record = json.loads((folder / "failure.json").read_text())
    named = record["first"]["name"]

    assert replay.main([str(folder)]) == 1

    told = capsys.readouterr().out
    assert f"the weight {named}" in str(error)
    assert f"the first value that is no number: the weight {named} (1 NaN" in told
    assert record["samples"][0]["clip"] in told
    assert 0 < record["samples"][0]["timestep"] <= 1000
    assert sorted(path.name for path in folder.iterdir()) == sorted([
        "batch.safetensors", "failure.json", "plan", "weights.safetensors", *beside,
    ])  # fmt: skip
    assert record["plan_id"] == ctx.plan.plan_id


def mended(folder):
    """Make numbers of the weights that a failed step has left, and of those that the fault met in the teacher's pass."""
    for path in (folder / name for name in ("weights.safetensors", "alignment.safetensors")):
        if path.exists():
            save_file({name: torch.nan_to_num(tensor) for name, tensor in load_file(path).items()}, path)


def test_a_replay_asks_the_average_that_taught_in_the_failed_step(tmp_path, monkeypatch, capsys):
    project, _, _ = failed(tmp_path, monkeypatch, **SELF_FLOW)
    folder = project.run_dir / "failure-00000003"
    mended(folder)
    assert replay.main([str(folder)]) == 0

    kept = load_file(folder / "alignment.safetensors")
    name = "ema.transformer_blocks.0.ff.conv_point.weight"
    save_file({**kept, name: torch.full_like(kept[name], math.nan)}, folder / "alignment.safetensors")
    assert replay.main([str(folder)]) == 1
    assert "transformer_blocks.0.ff.conv_point" in capsys.readouterr().out

    (folder / "alignment.safetensors").unlink()
    assert replay.main([str(folder)]) == 4
    assert "does not hold the average of the weights" in capsys.readouterr().err


def test_a_replay_leaves_out_alignment_that_a_threshold_had_ended(tmp_path, monkeypatch):
    ended = {f"regularizers.crepa.{name}": value for name, value in {"similarity_threshold": 1e-9}.items()}
    project, _, _ = failed(tmp_path, monkeypatch, **CREPA, **ended, **{"regularizers.crepa.feature_source": "backbone"})
    folder = project.run_dir / "failure-00000003"
    heard = []
    monkeypatch.setattr(replay, "first_nonfinite", lambda *_, alignment, **__: heard.append(alignment.active))

    replay.replay(folder)
    kept = load_file(folder / "alignment.safetensors")
    save_file({**kept, "crepa.ended": 1 - kept["crepa.ended"]}, folder / "alignment.safetensors")
    replay.replay(folder)

    assert sorted(heard) == [False, True]


def test_a_replay_without_the_fault_says_so_and_json_is_for_machines(tmp_path, monkeypatch, capsys):
    project, _, _ = failed(tmp_path, monkeypatch)
    folder = project.run_dir / "failure-00000003"
    bundle = replay.read_bundle(folder, None)
    assert bundle.alignment == {}
    mended(folder)

    assert replay.main([str(folder), "--device", "cpu", "--mixed-precision", "no"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("step 3 in bucket ")
    assert "@9, fp32 on cpu\ntaken again with --device cpu --mixed-precision no\n" in told
    assert "every value is finite this time" in told
    assert replay.main([str(folder)]) == 0
    assert "taken again" not in capsys.readouterr().out
    assert replay.main([str(folder), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["now"] is None


def test_a_poisoned_latent_is_named_with_its_clip_and_replayed_on_another_day(tmp_path, capsys):
    project, ctx, _ = encoded_project(tmp_path, prompts=(), **{"data.store_dir": "store"})
    key = latent_index(ctx)["discs/sub/c.mp4"]
    latents = ctx.store.read("latents", key)["latents"]
    replace_value(ctx.store, "latents", key, {"latents": torch.full_like(latents, math.nan)})
    with pytest.raises(NonFiniteLoss, match=r"the input latents \(.*clips discs/sub/c.mp4"):
        train.run(ctx, StopRequested())
    replace_value(ctx.store, "latents", key, {"latents": latents})  # the bundle holds what was read then

    (folder,) = project.run_dir.glob("failure-*")

    assert replay.main([str(folder)]) == 1
    assert "in micro-batch 1: the input latents" in capsys.readouterr().out


def test_what_is_no_bundle_is_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(BundleError, match=r"holds no failure\.json"):
        replay.replay(tmp_path)
    project, _, _ = failed(tmp_path, monkeypatch)
    folder = project.run_dir / "failure-00000003"
    (folder / "batch.safetensors").write_bytes(b"")

    assert replay.main([str(folder)]) == 4
    assert "is no whole bundle of a failed step" in capsys.readouterr().err


def test_a_full_disk_does_not_hide_the_failure(tmp_path, monkeypatch):
    from recipe_runtime import failure

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(failure, "write_bundle", full)
    project, _, error = failed(tmp_path, monkeypatch)

    assert "could not be left behind" in str(error)
    assert "No space left on device" in str(error)
    assert not list(project.run_dir.glob("*failure-*"))


MEMORY = {
    "buckets": {"64x64@9": 0.5, "96x64@9": 1.0},
    "largest": "96x64@9",
    "cures": [
        {"settings": {"memory.gradient_checkpointing": True}, "memory_gb": 0.8, "cost": "a third more work"},
        {"settings": {"model.type": "lora"}, "memory_gb": 0.1, "cost": "only low-rank changes"},
    ],
}


def with_memory(project, ctx):
    plan = dataclasses.replace(project.plan, meta={**project.plan.meta, "memory": MEMORY})
    write_plan(plan, project.plan_dir)
    return dataclasses.replace(ctx, plan=plan)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"),
        MemoryError(),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 2147483648 bytes"
        ),
    ],
    ids=["cuda", "python", "cpu"],
)
def test_too_little_memory_names_bucket_peak_and_what_would_fit(tmp_path, monkeypatch, error):
    project, ctx, _ = encoded_project(tmp_path, prompts=())
    ctx = with_memory(project, ctx)
    monkeypatch.setattr(memory, "peak_bytes", lambda _: 2 * 10**9)
    monkeypatch.setattr(memory, "total_bytes", lambda _: 4 * 10**9)

    with (
        pytest.raises(
            OutOfMemory,
            match=r"^out of memory in step 7 in bucket 96x64@9: 2\.00 GB were taken at the most by the whole process.* and the "
            r"machine has 4\.0 GB; the plan predicted 1\.00 GB\. These would fit, the cheapest first: ",
        ) as told,
        shortage_explained(ctx, "step 7", bucket="96x64@9"),
    ):
        raise error

    asks = not isinstance(error, MemoryError)
    assert ("and 2.15 GB more were asked for" in str(told.value)) == asks
    # 4.15 GB were needed where 1 GB was predicted, so that 0.8 GB means 3.3 GB.
    assert "`memory.gradient_checkpointing: true` (0.80 GB predicted, a third more work); `model.type: lora`" in str(
        told.value
    )


def test_what_moves_to_main_memory_is_no_cure_where_that_is_too_small(tmp_path, monkeypatch):
    project, ctx, _ = encoded_project(tmp_path, prompts=())
    away = {"settings": {"ema.device": "cpu"}, "memory_gb": 0.1, "cost": "the average crosses"}
    monkeypatch.setitem(MEMORY, "cures", [away, *MEMORY["cures"]])
    ctx = with_memory(project, ctx)
    monkeypatch.setattr(memory, "peak_bytes", lambda _: 2 * 10**9)
    monkeypatch.setattr(memory, "total_bytes", lambda _: 4 * 10**9)
    said = []
    for device in ("cpu", "cuda"):
        there = dataclasses.replace(ctx, device=torch.device(device))
        with pytest.raises(OutOfMemory) as told, shortage_explained(there, "step 7", bucket="96x64@9"):
            raise MemoryError
        said.append("ema.device" in str(told.value))

    assert said == [False, True]


def test_where_nothing_alone_fits_that_is_said(tmp_path, monkeypatch):
    project, ctx, _ = encoded_project(tmp_path, prompts=())
    ctx = with_memory(project, ctx)
    monkeypatch.setattr(memory, "peak_bytes", lambda _: 50 * 10**9)
    monkeypatch.setattr(memory, "total_bytes", lambda _: 4 * 10**9)

    with (
        pytest.raises(OutOfMemory, match="None of these alone would fit"),
        shortage_explained(ctx, "step 7", bucket="96x64@9"),
    ):
        raise MemoryError
    with (
        pytest.raises(OutOfMemory, match=r"set `memory\.vae_tiling: true` if it was the VAE"),
        shortage_explained(ctx, "the stage encode-video"),
    ):
        raise MemoryError


def test_other_errors_are_no_shortage():
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("DefaultCPUAllocator"))


def test_an_allocation_that_fails_in_a_step_ends_the_run_with_the_bucket(tmp_path, monkeypatch):
    project, ctx, heard = encoded_project(tmp_path, prompts=())
    ctx = with_memory(project, ctx)
    whole = step_module.backward
    monkeypatch.setattr(
        step_module,
        "backward",
        lambda *arguments: whole(*arguments) if len(heard.of(StepDone)) < 2 else torch.empty(2**60),
    )

    with pytest.raises(OutOfMemory, match=r"out of memory in step 3 in bucket (64|96)x64@9: .* more were asked for"):
        train.run(ctx, StopRequested())


def test_the_largest_bucket_is_tried_first_and_changes_no_bit(tmp_path):
    runs = {}
    for name, on in (("on", True), ("off", False)):
        for kind, more in {
            "full": {"ema.enabled": True, "train.gradient_accumulation_steps": 2},
            "lora": {**LORA, "model.lora.dropout": 0.3},
            "release": {"optimizer.release_gradients": True, "train.max_grad_norm": 0.0},
        }.items():
            settings = {"prompts": (), "memory.probe_largest_bucket": on, **more}
            project, ctx, heard = encoded_project(tmp_path / name / kind, **settings)
            train.run(ctx, StopRequested())
            runs[name, kind] = saved_parts(project.run_dir, 4)
            assert [event.bucket for event in heard.of(MemoryProbed)] == (["96x64@9"] if on else [])
    for kind in ("full", "lora", "release"):
        assert same_bits(runs["on", kind], runs["off", kind]), kind


@pytest.mark.parametrize("name", ["adamw", "schedule-free"])
def test_the_probe_takes_the_room_of_moments_that_are_not_there_yet(tmp_path, name):
    _, ctx, _ = encoded_project(tmp_path, prompts=(), **{"optimizer.name": name})
    state = train.build_state(ctx)
    weights = sum(weight.numel() for weight in state.optimized().values())

    assert probe._room_for_moments(ctx, state).numel() >= 8 * weights
    state.load(state_of(ctx).parts(), 1)
    assert probe._room_for_moments(ctx, state) is None


def state_of(ctx):
    """Return the state after a step."""
    state = train.build_state(ctx)
    step_module.train_step(
        state.model, state.optimizer, batch_maker(ctx).make(0), rate=1e-3, settings=ctx.settings.train
    )
    return state


def test_the_probe_of_a_run_that_does_not_fit_ends_it_before_the_first_step(tmp_path, monkeypatch):
    _, ctx, heard = encoded_project(tmp_path, prompts=())

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(probe, "backward", full)

    with pytest.raises(OutOfMemory, match=r"out of memory in the probe before step 1 in bucket 96x64@9"):
        train.run(ctx, StopRequested())
    assert heard.of(StepDone) == []


def test_a_loss_that_leaps_is_told_once_until_it_falls_again(tmp_path):
    _, ctx, _ = encoded_project(
        tmp_path, prompts=(), **{"alarms.loss_spike_factor": 3.0, "alarms.loss_spike_window": 10}
    )
    alarm = SpikeAlarm(ctx.settings.alarms)
    losses = [1.0] * 4 + [9.0, 3.0, 3.1, 9.0, 1.0, 9.0]

    told = [alarm.hear(step, loss) for step, loss in enumerate(losses, start=1)]

    # Five steps, half of the window, have to be done; exactly three times the median is no leap.
    assert [event.step for event in told if event] == [7, 10]
    assert told[6] == LossSpiked(step=7, loss=3.1, median=1.0, factor=3.0)


def test_a_run_tells_of_a_leap(tmp_path, monkeypatch):
    _, ctx, heard = encoded_project(
        tmp_path, prompts=(), max_steps=8,
        **{"alarms.loss_spike_factor": 50.0, "alarms.loss_spike_window": 6, "data.store_dir": "store"},
    )  # fmt: skip
    whole = step_module.backward
    monkeypatch.setattr(
        step_module, "backward", lambda *a: whole(*a) * (1000.0 if len(heard.of(StepDone)) == 5 else 1.0)
    )

    train.run(ctx, StopRequested())

    assert [event.step for event in heard.of(LossSpiked)] == [6]
    assert LossSpiked.level == "warning"


def test_a_hung_step_is_told_with_all_stacks_and_goes_on_where_that_is_asked_for(tmp_path, monkeypatch):
    _, ctx, heard = encoded_project(tmp_path, prompts=(), **{"alarms.step_timeout": 0.5, "alarms.on_hang": "warn"})
    whole = step_module.backward

    def slow(*arguments):
        if len(heard.of(StepDone)) == 1 and not list(ctx.run_dir.glob("hang-*")):
            time.sleep(1.5)
        return whole(*arguments)

    monkeypatch.setattr(step_module, "backward", slow)

    train.run(ctx, StopRequested())

    assert StepHung(step=2, seconds=0.5, path="hang-00000002.txt") in heard
    stacks = (ctx.run_dir / "hang-00000002.txt").read_text()
    assert "in slow" in stacks
    assert stacks.startswith("step 2 had not ended after 0.5 seconds")
    assert heard.of(StepDone)[-1].step == 4


def test_a_hung_read_of_data_ends_the_process(tmp_path):
    project, _, _ = encoded_project(tmp_path, prompts=(), **{"alarms.step_timeout": 8.0})
    script = (
        "import sys, time\n"
        "from recipe_runtime import __main__ as m\n"
        "from recipe_runtime.store import Store\n"
        "read = Store.read\n"
        "def sleeping(self, kind, key):\n"
        "    if kind == 'latents' and list(%r.glob('checkpoints/*')): time.sleep(100)\n"
        "    return read(self, kind, key)\n"
        "Store.read = sleeping\n"
        "sys.exit(m.main(sys.argv[1:]))\n"
    ).replace("%r", f"__import__('pathlib').Path({str(project.run_dir)!r})")
    paths = os.pathsep.join(str(ROOT / name) for name in ("schema", "runtime"))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    began = time.monotonic()

    done = subprocess.run(
        [sys.executable, "-c", script, str(project.plan_dir), "--run-dir", str(project.run_dir), "--quiet"],
        env=environment, stderr=subprocess.PIPE, text=True, timeout=95, check=False,
    )  # fmt: skip

    assert done.returncode == 4
    assert time.monotonic() - began < 95
    assert "had not ended after 8 seconds (`alarms.step_timeout`)" in done.stderr
    (stacks,) = project.run_dir.glob("hang-*.txt")
    assert "in sleeping" in stacks.read_text()
    told = [json.loads(line)["event"] for line in (project.run_dir / "events.jsonl").read_text().splitlines()]
    assert told[-2:] == ["step-hung", "failed"]
    train.run(make_context(project), StopRequested())
    assert (project.run_dir / "checkpoints" / "step-00000004").is_dir()
