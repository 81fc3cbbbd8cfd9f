import json
import os
from dataclasses import replace

import pytest

from fakes_runtime import TINY_CONFIGS, make_context, make_project
from recipe_runtime import encode_text, encode_video, preflight
from recipe_runtime.errors import ModelError, PlanRefused, RunError
from recipe_runtime.space import Need, estimate_needs, missing_space, parameter_count
from recipe_runtime.stop import StopRequested


def test_a_project_that_did_not_change_passes(tmp_path):
    preflight.check(make_context(make_project(tmp_path)))


def test_a_model_that_is_yet_to_be_built_passes(tmp_path):
    ctx = make_context(make_project(tmp_path, random_weights=TINY_CONFIGS))

    preflight.check(ctx)

    assert not ctx.resolve("models").exists()


def test_a_ledger_of_another_plan_is_refused(tmp_path):
    ctx = make_context(make_project(tmp_path))

    with pytest.raises(PlanRefused, match=r"ledger beside the plan has digest .* where the plan states .*recipe plan"):
        preflight.check(replace(ctx, rows=ctx.rows[1:]))


def test_changed_clips_are_named_and_counted(tmp_path):
    ctx = make_context(make_project(tmp_path))
    paths = [ctx.clip_path(row) for row in ctx.rows]
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes() + b"x")
    for path in paths[2:]:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)

    with pytest.raises(PlanRefused) as refused:
        preflight.check(ctx)

    message = str(refused.value)
    assert message.startswith("4 of 4 clips changed since the plan was made: ")
    assert f"{paths[0]} is gone" in message
    size = ctx.rows[1].size_bytes
    assert f"{paths[1]} has {size + 1} bytes where the plan has {size}" in message
    assert f"{paths[2]} has other content and 1 more; make the plan anew with `recipe plan RECIPE`" in message


def test_a_clip_that_was_only_touched_passes(tmp_path):
    ctx = make_context(make_project(tmp_path))
    os.utime(ctx.clip_path(ctx.rows[0]))

    preflight.check_clips(ctx)


def test_a_place_that_can_not_be_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(RunError, match=r"file/run can't be written: .*file is not a folder.*output_dir"):
        preflight.check_writable(tmp_path / "file" / "run")


def test_a_missing_component_is_named_before_anything_is_loaded(tmp_path):
    ctx = make_context(make_project(tmp_path))
    (ctx.resolve("models/tiny/scheduler")).rename(ctx.resolve("models/tiny/other"))

    with pytest.raises(ModelError, match="has no folder `scheduler`"):
        preflight.check(ctx)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("model_index.json", r"has no model_index\.json"),
        ("scheduler/scheduler_config.json", r"scheduler_config\.json can't be read"),
        ("transformer/diffusion_pytorch_model.safetensors", "holds neither diffusion_pytorch_model"),
    ],
)
def test_what_is_needed_only_after_training_is_missed_before_it(tmp_path, part, message):
    ctx = make_context(make_project(tmp_path))
    ctx.resolve(f"models/tiny/{part}").unlink()

    with pytest.raises(ModelError, match=message):
        preflight.check(ctx)


def test_a_full_disk_is_told_with_what_is_needed(tmp_path):
    needs = [
        Need(folder=tmp_path / "a", bytes=10**18, what="checkpoints"),
        Need(folder=tmp_path / "b", bytes=5, what="latents"),
    ]

    with pytest.raises(
        RunError, match=r"will write about 1000000000.0 GB there \(checkpoints 1000000000.0 GB, latents"
    ):
        preflight.check_space(needs)
    assert not list(missing_space(needs[1:]))


def test_the_estimate_counts_measured_clips_and_equal_ones_once(tmp_path):
    ctx = make_context(make_project(tmp_path))
    twin = replace(ctx.rows[0], path="twin.mp4")

    needs = estimate_needs(replace(ctx, rows=(ctx.rows[0], twin), eval_rows=(ctx.rows[1],)))

    assert needs[0].bytes == 4 * 16 * 3 * 2 * 64 + 2 * 2000


def test_the_estimate_counts_what_is_still_to_be_written(tmp_path):
    ctx = make_context(make_project(tmp_path, max_steps=20, **{"ema.enabled": True}))
    weights = 4 * parameter_count(ctx.resolve("models/tiny/transformer"))

    before = {need.what: need.bytes for need in estimate_needs(ctx)}
    encode_text.run(ctx, StopRequested())
    encode_video.run(ctx, StopRequested())
    checkpoint = ctx.run_dir / "checkpoints/step-00000002/model.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(bytes(4 * weights))
    after = {need.what: need.bytes for need in estimate_needs(ctx)}

    # Two clips of 8x8 and two of 8x12, three latent frames of 16 channels each, in fp32.
    # Each value has 2 kB besides.
    assert before["latents"] == 4 * 16 * 3 * (2 * 64 + 2 * 96) + 4 * 2000
    assert before["text embeddings"] == 6 * (300 * 32 * 4 + 2000)
    # Five are kept and a sixth is written; each has the weights, two moments and the average.
    assert before["checkpoints"] == 6 * 4 * weights
    assert after["latents"] == after["text embeddings"] == 0
    assert after["checkpoints"] == 5 * 4 * weights
    assert before["the exported model"] > weights


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("in_channels", "has in_channels 7 where the VAE gives 16 channels"),
        ("caption_channels", "has caption_channels 7 where the text encoder gives 32 channels"),
    ],
)
def test_a_transformer_that_takes_other_channels_is_named(tmp_path, name, message):
    ctx = make_context(make_project(tmp_path))
    path = ctx.resolve("models/tiny/transformer/config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), name: 7}))

    with pytest.raises(ModelError, match=message):
        preflight.check(ctx)


@pytest.mark.parametrize("content", ["", "[]"])
def test_a_damaged_configuration_is_named(tmp_path, content):
    ctx = make_context(make_project(tmp_path))
    ctx.resolve("models/tiny/text_encoder/config.json").write_text(content)

    with pytest.raises(ModelError, match=r"text_encoder/config\.json (is not JSON|holds no configuration)"):
        preflight.check(ctx)
