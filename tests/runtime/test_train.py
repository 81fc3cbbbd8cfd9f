import json
import math
from dataclasses import replace
from statistics import mean

import pytest
import torch

from fakes_runtime import CLIPS, make_context
from fakes_store import damage_value, replace_value
from fakes_training import StopAfter, encoded_project, same_bits, saved_parts
from recipe_runtime import loop, train
from recipe_runtime.batches import BatchMaker
from recipe_runtime.checkpoint import step_name
from recipe_runtime.encode_video import latent_index
from recipe_runtime.errors import CheckpointError, NonFiniteLoss, StoppedBySignal, StoreError
from recipe_runtime.stop import StopRequested
from recipe_schema.events import (
    CheckpointSaved,
    ClipDrawn,
    Event,
    Interrupted,
    Resumed,
    StageFinished,
    StageStarted,
    StepDone,
    Warned,
)


FULL = {
    "max_steps": 6,
    "prompts": (),
    "ema.enabled": True,
    "train.batch_size": 2,
    "train.mixed_precision": "bf16",
    "lr_schedule.name": "cosine",
    "lr_schedule.warmup_steps": 2,
}


def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def checkpoints(ctx):
    return sorted(path.name for path in (ctx.run_dir / "checkpoints").iterdir())


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_stopping_and_going_on_equals_going_straight_on_bit_for_bit(tmp_path, cut):
    _, straight, _ = encoded_project(tmp_path / "straight", **FULL)
    train.run(straight, StopRequested())
    project, _, _ = encoded_project(tmp_path / "cut", **FULL)
    stop = StopAfter(cut)
    with pytest.raises(StoppedBySignal) as stopped:
        train.run(make_context(project, [stop]), stop)

    train.run(make_context(project), StopRequested())

    assert (stopped.value.signal, stopped.value.step, stopped.value.exit_code) == ("SIGTERM", cut, 143)
    for step in (4, 6):
        assert same_bits(saved_parts(project.run_dir, step), saved_parts(straight.run_dir, step))
    assert set(saved_parts(project.run_dir, 6)) == {"model", "optimizer", "ema"}


def test_one_clip_is_learnt_by_heart(tmp_path):
    settings = {
        "optimizer.learning_rate": 3e-3,
        "train.batch_size": 2,
        "train.max_grad_norm": 1.0,
        "train.caption_dropout_probability": 0.0,
        "checkpoints.step_interval": 300,
    }
    _, ctx, events = encoded_project(tmp_path, clips=CLIPS[:1], max_steps=300, prompts=(), **settings)

    train.run(ctx, StopRequested())

    losses = [event.loss for event in events.of(StepDone)]
    assert mean(losses[:10]) > 1.8  # untrained: noise and latents, of variance one each
    assert mean(losses[-50:]) < 0.2 * mean(losses[:10])


def test_the_events_tell_what_happened(tmp_path):
    _, ctx, events = encoded_project(tmp_path, **{"train.batch_size": 2, "optimizer.learning_rate": 2e-4})

    train.run(ctx, StopRequested())

    steps = events.of(StepDone)
    assert [event.step for event in steps] == [1, 2, 3, 4]
    assert [event.epoch for event in steps] == [0.5, 1.0, 1.5, 2.0]
    assert {event.bucket for event in steps} == {"64x64@9", "96x64@9"}
    assert {event.learning_rate for event in steps} == {2e-4}
    assert all(event.grad_norm > 0 and 0 < event.sigma < 1 and event.loss > 0 for event in steps)
    assert all(0 <= event.data_seconds <= event.seconds for event in steps)
    assert all(len(event.sigmas) == len(event.losses) == 2 for event in steps)
    assert [(sum(e.sigmas) / 2, sum(e.losses) / 2) for e in steps] == [(e.sigma, e.loss) for e in steps]
    assert [(e.step, e.path) for e in events.of(CheckpointSaved)] == [
        (2, "checkpoints/step-00000002"),
        (4, "checkpoints/step-00000004"),
    ]
    assert [event.step for event in events.of(ClipDrawn)] == [4]
    started = [event for event in events.of(StageStarted) if event.stage == "train"]
    assert started == [StageStarted(stage="train", total=4, reused=0, unit="steps")]
    assert events[-1].stage == "train"


def test_a_stopped_run_saves_says_so_and_resumes_from_there(tmp_path):
    project, _, _ = encoded_project(tmp_path, max_steps=6, **{"checkpoints.step_interval": 100})
    stop = StopAfter(3)
    heard: list[Event] = []
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop, heard.append]), stop)
    assert heard[-1] == Interrupted(signal="SIGTERM", step=3)
    heard.clear()

    train.run(make_context(project, [heard.append]), StopRequested())

    assert Resumed(step=3, path="checkpoints/step-00000003") in heard
    assert heard[0] == StageStarted(stage="train", total=6, reused=3, unit="steps")
    assert [event.step for event in heard if isinstance(event, StepDone)] == [4, 5, 6]


def test_a_stop_before_the_first_step_saves_nothing(tmp_path):
    _, ctx, events = encoded_project(tmp_path)

    with pytest.raises(StoppedBySignal):
        train.run(ctx, StopRequested("SIGINT"))

    assert events[-1] == Interrupted(signal="SIGINT", step=0)
    assert not (ctx.run_dir / "checkpoints").exists()


def test_old_checkpoints_are_removed_only_after_the_new_one_is_complete(tmp_path):
    there = []

    class Looks:
        def __call__(self, event):
            if isinstance(event, CheckpointSaved):
                there.append(checkpoints(ctx))

    project, _, _ = encoded_project(
        tmp_path, prompts=(), **{"checkpoints.step_interval": 1, "checkpoints.total_limit": 1}
    )
    ctx = make_context(project, [Looks()])

    train.run(ctx, StopRequested())

    assert there == [["step-00000001"], *([step_name(n), step_name(n + 1)] for n in (1, 2, 3))]
    assert checkpoints(ctx) == ["step-00000004"]


def test_a_broken_checkpoint_is_passed_over_and_the_result_is_the_same(tmp_path):
    project, ctx, _ = encoded_project(tmp_path, **FULL)
    train.run(ctx, StopRequested())
    expected = saved_parts(project.run_dir, 6)
    folder = project.run_dir / "checkpoints" / "step-00000006"
    flip_last_byte(folder / "model.safetensors")
    heard: list[Event] = []

    train.run(make_context(project, [heard.append]), StopRequested())

    warned = [event for event in heard if isinstance(event, Warned)]
    assert len(warned) == 1
    assert "step-00000006" in warned[0].message
    assert same_bits(saved_parts(project.run_dir, 6), expected)


def test_a_finished_training_does_nothing_but_draw_what_is_missing(tmp_path):
    project, ctx, _ = encoded_project(tmp_path)
    train.run(ctx, StopRequested())
    heard: list[Event] = []
    train.run(make_context(project, [heard.append]), StopRequested())
    assert [type(event) for event in heard] == [StageStarted, StageFinished]
    clip = project.run_dir / "validation/step-00000004/main.mp4"
    before = clip.read_bytes()
    clip.unlink()
    heard.clear()

    train.run(make_context(project, [heard.append]), StopRequested())

    assert [event.path for event in heard if isinstance(event, ClipDrawn)] == ["validation/step-00000004/main.mp4"]
    assert [event for event in heard if isinstance(event, StepDone)] == []
    assert clip.read_bytes() == before


def test_a_run_directory_of_another_plan_is_refused(tmp_path):
    _, ctx, _ = encoded_project(tmp_path / "one", max_steps=2)
    train.run(ctx, StopRequested())
    other, _, _ = encoded_project(tmp_path / "two", max_steps=4)
    (other.run_dir / "checkpoints").symlink_to(ctx.run_dir / "checkpoints")

    with pytest.raises(CheckpointError, match="belongs to another plan"):
        train.run(make_context(other), StopRequested())


def test_the_average_follows_its_closed_form_in_a_run(tmp_path):
    _, ctx, _ = encoded_project(
        tmp_path, prompts=(), **{"ema.enabled": True, "ema.decay": 0.2, "checkpoints.step_interval": 1}
    )
    first = dict(train.build_state(ctx).model.named_parameters())["proj_out.weight"].detach().clone()

    train.run(ctx, StopRequested())

    expected = first
    for step, decay in enumerate((0.1, 2 / 11, 0.2, 0.2), start=1):
        expected = decay * expected + (1 - decay) * saved_parts(ctx.run_dir, step)["model"]["proj_out.weight"]
    assert torch.allclose(saved_parts(ctx.run_dir, 4)["ema"]["proj_out.weight"], expected, rtol=1e-5, atol=1e-7)


def test_one_clip_is_learnt(tmp_path):
    _, ctx, events = encoded_project(
        tmp_path,
        clips=CLIPS[:1],
        max_steps=120,
        prompts=(),
        **{
            "train.batch_size": 4,
            "optimizer.learning_rate": 3e-3,
            "train.max_grad_norm": 1.0,
            "checkpoints.step_interval": 1000,
        },
    )

    train.run(ctx, StopRequested())

    losses = [event.loss for event in events.of(StepDone)]
    assert all(map(math.isfinite, losses))
    assert sum(losses[-20:]) / 20 < 0.75 * sum(losses[:10]) / 10


def test_a_loss_that_is_no_number_stops_the_run_with_everything_named(tmp_path):
    project, ctx, _ = encoded_project(
        tmp_path, max_steps=8, **{"checkpoints.step_interval": 1, "data.store_dir": "store"}
    )
    poison = "discs/sub/c.mp4"
    key = latent_index(ctx)[poison]
    latents = ctx.store.read("latents", key)["latents"]
    replace_value(ctx.store, "latents", key, {"latents": torch.full_like(latents, math.nan)})

    with pytest.raises(NonFiniteLoss, match=r"discs/sub/c\.mp4 \(sigma") as failure:
        train.run(ctx, StopRequested())

    assert "the input latents (" in str(failure.value)
    (folder,) = project.run_dir.glob("failure-*")
    assert f"`recipe replay {folder}` takes the step again" in str(failure.value)
    record = json.loads((folder / "failure.json").read_text())
    assert [sample["clip"] for sample in record["samples"]] == [poison]
    assert record["samples"][0]["text"] == "a blue disc moves left motion score: 30."
    assert record["samples"][0]["loss"] == "nan"
    assert record["bucket"] == "96x64@9"
    assert f"step {record['step']} in bucket 96x64@9" in str(failure.value)
    assert len(checkpoints(ctx)) == record["step"] - 1
    assert all(
        bool(torch.isfinite(tensor).all())
        for name in checkpoints(ctx)
        for tensor in saved_parts(ctx.run_dir, int(name[5:]))["model"].values()
    )


def test_a_damaged_store_stops_the_run_in_one_sentence(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **{"data.store_dir": "store"})
    for key in latent_index(ctx).values():
        damage_value(ctx.store, "latents", key)

    with pytest.raises(StoreError, match="run the same command again"):
        train.run(ctx, StopRequested())


def test_the_batch_of_a_step_does_not_depend_on_where_the_run_began(tmp_path):
    project, ctx, events = encoded_project(tmp_path, **FULL)
    train.run(ctx, StopRequested())
    straight = {event.step: (event.bucket, event.sigma, event.loss) for event in events.of(StepDone)}
    for name in ("step-00000006", "step-00000004"):
        (project.run_dir / "checkpoints" / name / "state.json").unlink()
    heard: list[Event] = []

    train.run(make_context(project, [heard.append]), StopRequested())

    resumed = {e.step: (e.bucket, e.sigma, e.loss) for e in heard if isinstance(e, StepDone)}
    assert set(resumed) == {3, 4, 5, 6}
    assert all(straight[step] == seen for step, seen in resumed.items())


def test_the_loop_stops_at_once_when_training_is_done_already(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, prompts=())
    state = train.build_state(ctx)
    state.step = 4

    class Never(BatchMaker):
        def __init__(self):
            pass

        def make(self, step):
            raise AssertionError(f"batch {step} was made")

    told = loop.train(ctx, state, Never(), measure=lambda: None, draw=lambda: ("clip failed",), stop=StopRequested())

    assert told == ("clip failed",)


def saved_at(events):
    return [event.step for event in events.of(CheckpointSaved)]


def test_checkpoints_come_after_every_so_many_epochs_too(tmp_path):
    # Four samples an epoch and three a step: epochs end in steps 2, 3, 4, 6, 7, 8.
    _, ctx, events = encoded_project(
        tmp_path,
        prompts=(),
        max_steps=9,
        **{"train.batch_size": 3, "checkpoints.step_interval": 5, "checkpoints.epoch_interval": 2},
    )

    train.run(ctx, StopRequested())

    assert saved_at(events) == [3, 5, 6, 8, 9]


def test_rolling_checkpoints_are_counted_by_themselves(tmp_path):
    saves = {"step_interval": 4, "total_limit": 2, "rolling_steps": 1, "rolling_total_limit": 2}
    project, _, _ = encoded_project(
        tmp_path, prompts=(), max_steps=11, **{f"checkpoints.{name}": value for name, value in saves.items()}
    )
    stop = StopAfter(7)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)
    assert checkpoints(make_context(project)) == [step_name(step) for step in (4, 6, 7)]

    train.run(make_context(project), StopRequested())

    assert checkpoints(make_context(project)) == [step_name(step) for step in (8, 9, 10, 11)]


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, [4]),
        ({"validation.on_startup": True}, [0, 4]),
        ({"validation.step_interval": 1}, [1, 2, 3, 4]),
        ({"validation.step_interval": 1, "validation.after_step": 3}, [3, 4]),
        ({"validation.step_interval": 1, "validation.after_step": 30, "validation.on_startup": True}, [0, 4]),
        ({"validation.epoch_interval": 1, "train.batch_size": 2}, [2, 4]),
    ],
)
def test_clips_are_drawn_when_they_are_asked_for(tmp_path, settings, steps):
    _, ctx, events = encoded_project(tmp_path, **{"checkpoints.step_interval": 100, **settings})

    train.run(ctx, StopRequested())

    assert [event.step for event in events.of(ClipDrawn)] == steps


def test_drawing_before_the_first_step_changes_no_bit_of_training(tmp_path):
    _, plain, _ = encoded_project(tmp_path / "plain")
    train.run(plain, StopRequested())
    _, ctx, _ = encoded_project(tmp_path, **{"validation.on_startup": True, "validation.num_clips": 2})

    train.run(ctx, StopRequested())

    assert same_bits(saved_parts(ctx.run_dir, 4), saved_parts(plain.run_dir, 4))


def test_options_of_noise_and_loss_resume_bit_for_bit(tmp_path):
    options = {
        "loss_type": "huber",
        "huber_schedule": "snr",
        "snr_gamma": 5.0,
        "timesteps": "exact",
        "noise_offset": 0.1,
        "noise_offset_probability": 0.5,
        "input_perturbation": 0.1,
        "input_perturbation_steps": 5,
    }
    settings = {**FULL, **{f"train.{name}": value for name, value in options.items()}}
    _, straight, events = encoded_project(tmp_path / "straight", **settings)
    train.run(straight, StopRequested())
    project, _, _ = encoded_project(tmp_path / "cut", **settings)
    stop = StopAfter(3)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)

    train.run(make_context(project), StopRequested())

    assert same_bits(saved_parts(project.run_dir, 6), saved_parts(straight.run_dir, 6))
    assert all(event.loss > 0 for event in events.of(StepDone))


def test_shares_and_several_captions_resume_bit_for_bit(tmp_path):
    clips = tuple(replace(clip, others=(f"{clip.caption} again", "a disc")) for clip in CLIPS)
    settings = {**FULL, "clips": clips, "data.datasets.0.probability": 0.6}
    _, straight, _ = encoded_project(tmp_path / "straight", **settings)
    train.run(straight, StopRequested())
    project, _, _ = encoded_project(tmp_path / "cut", **settings)
    stop = StopAfter(3)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)

    train.run(make_context(project), StopRequested())

    assert same_bits(saved_parts(project.run_dir, 6), saved_parts(straight.run_dir, 6))


def test_tf32_is_on_while_the_transformer_works_and_off_again(tmp_path):
    seen = []
    project, _, _ = encoded_project(tmp_path, prompts=(), **{"hardware.tf32": True})

    train.run(make_context(project, [lambda _: seen.append(torch.get_float32_matmul_precision())]), StopRequested())

    assert "high" in seen
    assert torch.get_float32_matmul_precision() == "highest"
