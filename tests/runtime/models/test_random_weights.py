import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.sana_video.pipeline_sana_video import SanaVideoPipeline
from transformers import AutoTokenizer, Gemma2Model, GemmaTokenizer

import recipe_schema
from fakes_runtime import TINY_CONFIGS, make_context, make_project
from recipe_compiler.fetch.shapes import draw, scenes
from recipe_runtime.errors import ModelError
from recipe_runtime.models import random_weights
from recipe_runtime.stop import StopRequested


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def build_context(tmp_path, **overrides):
    overrides = {"random_weights": TINY_CONFIGS} | overrides
    return make_context(make_project(tmp_path, **overrides))


def test_the_built_model_is_a_sana_video_pipeline(tmp_path):
    ctx = build_context(tmp_path)

    random_weights.run(ctx, StopRequested())

    pipeline = SanaVideoPipeline.from_pretrained(ctx.resolve("models/tiny"))
    assert isinstance(pipeline.text_encoder, Gemma2Model)
    assert pipeline.transformer.config["caption_channels"] == pipeline.text_encoder.config.hidden_size
    assert pipeline.scheduler.config["flow_shift"] == 8.0
    assert pipeline.scheduler.config["use_flow_sigmas"]
    assert pipeline.scheduler.config["prediction_type"] == "flow_prediction"


def test_a_second_run_builds_nothing(tmp_path):
    ctx = build_context(tmp_path)
    random_weights.run(ctx, StopRequested())
    before = {path: path.stat().st_mtime_ns for path in ctx.resolve("models").rglob("*")}

    random_weights.run(ctx, StopRequested())

    assert {path: path.stat().st_mtime_ns for path in ctx.resolve("models").rglob("*")} == before
    assert [path.name for path in ctx.resolve("models").iterdir()] == ["tiny"]


def test_the_model_is_a_function_of_configuration_and_seed(tmp_path):
    torch.manual_seed(1)
    random_weights.build_directory(tmp_path / "a", TINY_CONFIGS, 5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    random_weights.build_directory(tmp_path / "b", TINY_CONFIGS, 5)
    assert torch.equal(torch.get_rng_state(), state)
    random_weights.build_directory(tmp_path / "c", TINY_CONFIGS, 6)

    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_a_model_of_another_seed_is_refused_and_kept(tmp_path):
    ctx = build_context(tmp_path, **{"train.seed": 1})
    random_weights.build_directory(ctx.resolve("models/tiny"), TINY_CONFIGS, 2)
    before = contents(ctx.resolve("models"))

    with pytest.raises(ModelError, match=r"models/tiny holds random weights of another configuration.*delete"):
        random_weights.run(ctx, StopRequested())

    assert contents(ctx.resolve("models")) == before


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_what_is_not_ours_is_refused_and_kept(tmp_path, kind):
    ctx = build_context(tmp_path)
    target = ctx.resolve("models/tiny")
    target.parent.mkdir()
    if kind == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "model_index.json").write_text("{}")
    before = contents(ctx.resolve("models"))

    with pytest.raises(ModelError, match=r"models/tiny exists and was not built by"):
        random_weights.run(ctx, StopRequested())

    assert contents(ctx.resolve("models")) == before


def test_a_damaged_marker_is_named(tmp_path):
    ctx = build_context(tmp_path)
    random_weights.run(ctx, StopRequested())
    (ctx.resolve("models/tiny") / random_weights.MARKER).write_text("{")

    with pytest.raises(ModelError, match=r"random_weights.json is damaged"):
        random_weights.run(ctx, StopRequested())


@pytest.mark.parametrize("loader", [GemmaTokenizer, AutoTokenizer])
def test_the_tokenizer_is_of_gemmas_kind_and_loses_no_letter(tmp_path, loader):
    random_weights.build_directory(tmp_path / "m", TINY_CONFIGS, 0)

    tokenizer = loader.from_pretrained(tmp_path / "m" / "tokenizer")

    special = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.unk_token_id)
    assert special == (0, 1, 2, 3)
    assert tokenizer.padding_side == "right"
    text = "a red disc, ünïcödé 漢字 🙂 & 100%"
    tokens = tokenizer.encode(text)
    assert tokens[0] == 2
    assert 3 not in tokens
    assert tokenizer.decode(tokens, skip_special_tokens=True) == text
    assert len(tokenizer.encode("a red disc moves")) <= len("a red disc moves") / 2


def test_a_place_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ModelError, match=r"file/model can't be written: .*run the same command again"):
        random_weights.build_directory(tmp_path / "file" / "model", TINY_CONFIGS, 0)


SMALL = json.loads((Path(recipe_schema.__file__).parent / "families" / "sana-video-480p.json").read_text())[
    "random_weights"
]["small"]


def test_the_plan_of_small_names_the_weights_of_its_vae():
    weights = Path(random_weights.__file__).parent / SMALL["vae"]["trained"] / "diffusion_pytorch_model.safetensors"

    assert hashlib.sha256(weights.read_bytes()).hexdigest() == SMALL["vae"]["sha256"]
    assert weights.stat().st_size < 3e6


@torch.no_grad()
def test_the_vae_of_small_reconstructs_clips_that_it_never_saw_to_28_db():
    vae = random_weights.build_pipeline(SMALL, 0).vae
    clips = torch.from_numpy(np.stack([draw(scene, 0) for scene in scenes(held_out=True)]))
    shown = clips.permute(0, 4, 1, 2, 3).float() / 127.5 - 1

    latents = vae.encode(shown).latent_dist.mode()

    error = torch.nn.functional.mse_loss(vae.decode(latents).sample.clamp(-1, 1), shown)
    assert -10 * torch.log10(error / 4) > 28
    normal = (latents - torch.tensor(vae.config.latents_mean)[None, :, None, None, None]) / torch.tensor(
        vae.config.latents_std
    )[None, :, None, None, None]
    assert 0.8 < normal.std() < 1.2
