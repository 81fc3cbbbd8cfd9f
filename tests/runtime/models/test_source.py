import json
import os

import pytest

from fakes_runtime import make_context, make_project
from recipe_runtime.errors import ModelError
from recipe_runtime.models.source import component_dir, model_dir, pipeline_dir, vae_dir, weights_digest


def test_a_directory_below_the_root_wins_over_the_hub(tmp_path):
    (tmp_path / "owner/name").mkdir(parents=True)

    assert model_dir("owner/name", None, tmp_path) == tmp_path / "owner/name"
    assert model_dir(str(tmp_path / "owner"), None, tmp_path / "elsewhere") == tmp_path / "owner"


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"model directory .*models/real/2b does not exist"):
        model_dir("models/real/2b", None, tmp_path)


def test_a_hub_that_can_not_be_reached_is_told_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(ModelError, match=r"`nobody/nothing-at-all` .*HF_ENDPOINT.*hf download"):
        model_dir("nobody/nothing-at-all", None, tmp_path)


def test_a_missing_component_is_named(tmp_path):
    with pytest.raises(ModelError, match="has no folder `vae`"):
        component_dir(tmp_path, "vae")


def test_the_vae_may_live_elsewhere(tmp_path):
    elsewhere = {"model.pretrained_vae_model_name_or_path": "other"}
    ctx = make_context(make_project(tmp_path, **elsewhere))
    (ctx.root / "other/vae").mkdir(parents=True)

    assert pipeline_dir(ctx) == ctx.root / "models/tiny"
    assert vae_dir(ctx) == ctx.root / "other/vae"


def test_a_missing_vae_is_told_with_its_own_key(tmp_path):
    ctx = make_context(make_project(tmp_path, **{"model.pretrained_vae_model_name_or_path": "other"}))

    with pytest.raises(ModelError, match=r"correct `model.pretrained_vae_model_name_or_path`"):
        vae_dir(ctx)


def test_a_digest_follows_content_and_not_place_or_writer(tmp_path):
    for name, version in (("a", "1.0"), ("b", "2.0")):
        (tmp_path / name).mkdir()
        config = {"_diffusers_version": version, "base_dim": 8}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
        (tmp_path / name / "model.safetensors").write_bytes(b"weights")
        (tmp_path / name / "README.md").write_text(name)
    first = weights_digest(tmp_path / "a")

    assert weights_digest(tmp_path / "b") == first
    (tmp_path / "b/model.safetensors").write_bytes(b"Weights")
    os.utime(tmp_path / "b/model.safetensors", ns=(1, 1))
    assert weights_digest(tmp_path / "b") != first
    (tmp_path / "a/config.json").write_text(json.dumps({"base_dim": 16}))
    assert weights_digest(tmp_path / "a") != first


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_configuration_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)

    with pytest.raises(ModelError, match=r"config.json .*fetch or build the model anew"):
        weights_digest(tmp_path)


def test_an_empty_component_has_no_digest(tmp_path):
    with pytest.raises(ModelError, match="holds neither configuration nor weights"):
        weights_digest(tmp_path)
