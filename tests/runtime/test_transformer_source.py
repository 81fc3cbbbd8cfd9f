"""Training that starts from a transformer of another place than the rest of the model."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from fakes_runtime import TINY_CONFIGS, make_context, make_project
from fakes_training import encoded_project
from recipe_runtime import export, preflight, train
from recipe_runtime.errors import ModelError
from recipe_runtime.space import estimate_needs
from recipe_runtime.stop import StopRequested


KEY = "model.pretrained_transformer_model_name_or_path"
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture
def earlier(tmp_path):
    """Return the export of a run that changed the weights."""
    _, ctx, _ = encoded_project(tmp_path / "earlier", prompts=())
    train.run(ctx, StopRequested())
    export.run(ctx)
    return ctx.run_dir / "export"


@pytest.mark.parametrize("inside", ["", "transformer"])
def test_training_starts_from_the_export_of_an_earlier_run(tmp_path, earlier, inside):
    _, ctx, _ = encoded_project(tmp_path / "later", prompts=(), **{KEY: str(earlier / inside)})
    preflight.check(ctx)
    stored = load_file(earlier / WEIGHTS)

    state = train.build_state(ctx).model.state_dict()

    assert all(torch.equal(state[name], value) for name, value in stored.items())
    published = load_file(ctx.root / "models" / "tiny" / WEIGHTS)
    assert any(not torch.equal(state[name], value) for name, value in published.items())
    train.run(ctx, StopRequested())
    export.run(ctx)
    assert set(load_file(ctx.run_dir / "export" / WEIGHTS)) == set(stored)


def test_its_weights_are_what_the_disk_is_estimated_for(tmp_path, earlier):
    _, ctx, _ = encoded_project(tmp_path / "later", prompts=(), **{KEY: str(earlier)})
    shutil.rmtree(ctx.root / "models" / "tiny" / "transformer")

    assert {need.what for need in estimate_needs(ctx)} >= {"checkpoints", "the exported model"}


@pytest.mark.parametrize("random_weights", [None, TINY_CONFIGS])
def test_one_that_is_not_there_is_named_before_anything_runs(tmp_path, random_weights):
    ctx = make_context(make_project(tmp_path, random_weights=random_weights, **{KEY: "models/other one"}))

    with pytest.raises(ModelError, match=rf"models/other one does not exist; correct `{KEY}`"):
        preflight.check(ctx)


def test_one_of_other_channels_is_refused(tmp_path, earlier):
    config = earlier / "transformer" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "caption_channels": 64}))
    ctx = make_context(make_project(tmp_path / "later", **{KEY: str(earlier)}))

    with pytest.raises(ModelError, match="caption_channels 64 where the text encoder gives 32"):
        preflight.check(ctx)


def test_an_adapter_to_go_on_from_is_missed_even_where_the_model_is_yet_to_be_built(tmp_path):
    settings = {"model.type": "lora", "model.lora.init_from": "nowhere"}
    ctx = make_context(make_project(tmp_path, random_weights=TINY_CONFIGS, **settings))

    with pytest.raises(ModelError, match=r"`model.lora.init_from` names .*nowhere"):
        preflight.check(ctx)
