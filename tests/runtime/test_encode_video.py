import json
from dataclasses import replace

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from safetensors.torch import load_file, save_file

from fakes_runtime import CLIPS, TINY_CONFIGS, Clip, make_context, make_project
from fakes_store import lose_value, stored_values
from recipe_runtime import encode_video
from recipe_runtime.clip import read_clip, to_pixels
from recipe_runtime.errors import MediaError, ModelError, StoppedBySignal
from recipe_runtime.models.vae import encode, load_vae
from recipe_runtime.stop import StopRequested
from recipe_schema.events import StageStarted
from recipe_schema.stored import latent_facts


MANY = tuple(Clip(name=f"{index}.mp4", caption="a disc") for index in range(5)) + CLIPS


def latents_of(ctx):
    index = encode_video.latent_index(ctx)
    return {clip: ctx.store.read("latents", key)["latents"] for clip, key in index.items()}


def test_latents_are_those_of_the_planned_pixels(tmp_path):
    ctx = make_context(make_project(tmp_path))

    encode_video.run(ctx, StopRequested())

    vae = load_vae(tmp_path / "project/models/tiny/vae", "fp32", ctx.device, tiling=False, slicing=False)
    stored = latents_of(ctx)
    assert set(stored) == {row.clip_id for row in ctx.rows}
    for row in ctx.rows:
        expected = encode(vae, to_pixels(read_clip(ctx.clip_path(row), row)).unsqueeze(0))[0]
        assert stored[row.clip_id].dtype == torch.float32
        assert stored[row.clip_id].shape == (16, 3, row.bucket_height // 8, row.bucket_width // 8)
        assert torch.equal(stored[row.clip_id], expected)


def test_values_say_what_made_them(tmp_path):
    ctx = make_context(make_project(tmp_path))

    encode_video.run(ctx, StopRequested())

    row = ctx.rows[1]
    found = stored_values(ctx.store.folder)["latents", encode_video.latent_index(ctx)[row.clip_id]]
    expected = latent_facts(row, dtype="fp32", tiling=False)
    assert expected["clip_sha256"] == row.sha256
    assert {name: found[name] for name in expected} == expected


def test_the_second_run_reuses_all(tmp_path):
    events = []
    ctx = make_context(make_project(tmp_path), [events.append])

    encode_video.run(ctx, StopRequested())
    encode_video.run(ctx, StopRequested())

    assert [(event.total, event.reused) for event in events if isinstance(event, StageStarted)] == [(4, 0), (4, 4)]


def test_latents_do_not_depend_on_what_the_store_held_before(tmp_path):
    straight = make_context(make_project(tmp_path / "a", clips=MANY, **{"data.vae_batch_size": 3}))
    encode_video.run(straight, StopRequested())
    broken = make_context(make_project(tmp_path / "b", clips=MANY, **{"data.vae_batch_size": 3}))
    encode_video.run(broken, StopRequested())
    index = encode_video.latent_index(broken)
    for clip in ("discs/1.mp4", "discs/a.mp4"):
        lose_value(broken.store, "latents", index[clip])
    kept = broken.store.index.find("latents", index["discs/0.mp4"])

    encode_video.run(broken, StopRequested())

    expected, found = latents_of(straight), latents_of(broken)
    assert all(torch.equal(found[clip], latents) for clip, latents in expected.items())
    assert kept is not None
    assert broken.store.index.find("latents", index["discs/0.mp4"]) == kept


def test_a_key_depends_on_all_that_shapes_latents(tmp_path):
    ctx = make_context(make_project(tmp_path / "plain"))
    plain = encode_video.latent_index(ctx)[ctx.rows[0].clip_id]
    changes = {"start_seconds": 0.1, "framerate": 15.0, "crop_left": 1, "resize_width": 90, "sha256": "0" * 64}
    keys = {plain}
    for name, value in changes.items():
        changed = replace(ctx, rows=(replace(ctx.rows[0], **{name: value}),))
        keys.add(encode_video.latent_index(changed)[ctx.rows[0].clip_id])
    for name, value in {"model.vae_dtype": "bf16", "memory.vae_tiling": True}.items():
        other = make_context(make_project(tmp_path / name, **{name: value}))
        keys.add(encode_video.latent_index(other)[ctx.rows[0].clip_id])
    same = make_context(make_project(tmp_path / "same", **{"train.seed": 1, "data.vae_batch_size": 2}))

    assert len(keys) == 1 + len(changes) + 2
    assert encode_video.latent_index(same)[ctx.rows[0].clip_id] == plain
    renamed = replace(ctx, rows=(replace(ctx.rows[0], caption="x", text="x", mtime_ns=1),))
    assert encode_video.latent_index(renamed)[ctx.rows[0].clip_id] == plain


def test_a_broken_clip_stops_the_stage_and_keeps_what_is_done(tmp_path):
    project = make_project(tmp_path)
    ctx = make_context(project)
    (project.root / "clips/sub/d.mp4").write_bytes(b"broken")

    with pytest.raises(MediaError, match=r"sub/d.mp4 can't be decoded"):
        encode_video.run(ctx, StopRequested())

    index = encode_video.latent_index(ctx)
    assert [ctx.store.has("latents", index[row.clip_id]) for row in ctx.rows] == [True, True, True, False]


def test_values_that_are_not_finite_are_never_stored(tmp_path):
    ctx = make_context(make_project(tmp_path))
    weights = tmp_path / "project/models/tiny/vae/diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["quant_conv.bias"].fill_(float("nan"))
    save_file(tensors, weights)

    with pytest.raises(ModelError, match=r"not finite for discs/a.mp4"):
        encode_video.run(ctx, StopRequested())

    assert not stored_values(ctx.store.folder)


def test_a_wish_to_stop_is_met_between_groups(tmp_path):
    ctx = make_context(make_project(tmp_path))

    with pytest.raises(StoppedBySignal, match="SIGUSR1") as stopped:
        encode_video.run(ctx, StopRequested(requested="SIGUSR1"))

    assert stopped.value.exit_code == 128 + 10
    assert len(stored_values(ctx.store.folder)) == 1


@pytest.mark.parametrize("change", [{"temperal_downsample": [False, True, False]}, {"z_dim": 8}])
def test_a_vae_of_another_family_is_refused_before_anything_is_stored(tmp_path, change):
    ctx = make_context(make_project(tmp_path))
    config = {**TINY_CONFIGS["vae"], **change}
    channels = config["z_dim"]
    config |= {"latents_mean": [0.0] * channels, "latents_std": [1.0] * channels}
    AutoencoderKLWan(**config).save_pretrained(ctx.resolve("models/tiny/vae"))

    with pytest.raises(ModelError, match=r"into latents of shape .* where this family has \(16, 3, 8, 8\)"):
        encode_video.run(ctx, StopRequested())

    assert not stored_values(ctx.store.folder)


def test_constants_that_are_not_one_for_each_channel_are_named(tmp_path):
    ctx = make_context(make_project(tmp_path))
    path = ctx.resolve("models/tiny/vae/config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "latents_mean": [0.0, 0.0]}))

    with pytest.raises(ModelError, match="has 16 channels and 2 values of latents_mean"):
        encode_video.run(ctx, StopRequested())
