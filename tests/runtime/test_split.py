"""Adapters that begin with a part of the weights: what they leave, that they resume, and what is exported."""

import copy
import warnings

import pytest
import torch
from diffusers.pipelines.sana_video.pipeline_sana_video import SanaVideoPipeline
from peft import LoraConfig, inject_adapter_in_model
from safetensors import safe_open
from torch import nn

from fakes_adapters import plain_model, predicted
from fakes_runtime import make_context
from fakes_training import encoded_project, same_bits, saved_parts
from recipe_runtime import export, train
from recipe_runtime.errors import CheckpointError
from recipe_runtime.models import split
from recipe_runtime.models.split import first_halves, take_out
from recipe_runtime.stop import StopRequested
from recipe_schema.sections.model import Lora


EVERYWHERE = ["attn*.to_*", "to_out.0", "ff.conv_*", "patch_embedding"]
LORA = {
    "model.type": "lora",
    "model.lora.rank": 4,
    "model.lora.alpha": 8.0,
    "model.lora.target_modules": EVERYWHERE,
    "prompts": (),
}
FILE = "pytorch_lora_weights.safetensors"
INITS = pytest.mark.parametrize("init", ["pissa", "olora"])


def trained(tmp_path, init, **settings):
    project, ctx, events = encoded_project(tmp_path, **LORA, **{"model.lora.init": init, **settings})
    train.run(ctx, StopRequested())
    return project, ctx, events


@INITS
def test_the_model_computes_what_it_did_and_its_weights_are_less(tmp_path, init):
    _, ctx, _ = encoded_project(tmp_path, **LORA, **{"model.lora.init": init})
    model = train.build_state(ctx).model
    plain = plain_model(tmp_path)

    torch.testing.assert_close(predicted(ctx, model), predicted(ctx, plain), rtol=0, atol=1e-5)
    layer, own = "transformer_blocks.0.attn1.to_q", model.get_submodule("transformer_blocks.0.attn1.to_q")
    left, whole = own.base_layer.weight, plain.get_submodule(layer).weight
    change = 2.0 * own.lora_B["default"].weight @ own.lora_A["default"].weight
    torch.testing.assert_close(left + change, whole, rtol=0, atol=1e-6)
    if init == "pissa":  # what is left are the small singular values
        expected = torch.linalg.svdvals(whole.detach())[4:]
        torch.testing.assert_close(torch.linalg.svdvals(left)[:-4], expected, rtol=1e-3, atol=1e-5)


@INITS
@pytest.mark.parametrize("rank", [3, 12])
def test_linear_layers_are_split_as_peft_splits_them(init, rank):
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(12, 8, bias=False))
    theirs = copy.deepcopy(ours)
    settings = Lora(
        type="standard",
        rank=rank,
        alpha=6.0,
        dropout=0.0,
        target_modules=("0",),
        init=init,
        init_from=None,
        use_dora=False,
        merge=False,
        lokr_factor=16,
    )
    before = ours[0].weight.detach().clone()

    halves = first_halves(ours, ["0"], settings)
    take_out(ours, halves, settings)

    first, second = halves["0"]
    assert first.shape == (rank, 12)
    assert second.shape == (8, rank)
    torch.testing.assert_close(ours[0].weight + 6 / rank * second @ first, before)
    if rank < 8:  # peft can't split a layer that is narrower than the rank
        config = LoraConfig(r=rank, lora_alpha=6, target_modules=["0"], init_lora_weights=init)
        inject_adapter_in_model(config, theirs)
        torch.testing.assert_close(ours[0].weight.detach(), theirs[0].base_layer.weight.detach(), atol=1e-6, rtol=0)


@INITS
@pytest.mark.parametrize(
    "settings",
    [
        {"train.mixed_precision": "bf16", "memory.gradient_checkpointing": True},
        {"model.base_model_precision": "int8-quanto"},
        {"ema.enabled": True, "memory.group_offload.enabled": True, "memory.group_offload.to_disk_path": "away"},
    ],
    ids=["bf16", "int8", "offloaded"],
)
def test_a_resumed_run_splits_nothing_anew_and_gives_the_same_bits(tmp_path, init, settings, monkeypatch):
    _, straight, _ = trained(tmp_path / "straight", init, **settings)
    project, ctx, _ = trained(tmp_path / "cut", init, **settings)
    (ctx.run_dir / "checkpoints" / "step-00000004" / "state.json").unlink()
    monkeypatch.setattr(split, "_halves", None)

    train.run(make_context(project), StopRequested())

    assert same_bits(saved_parts(ctx.run_dir, 4), saved_parts(straight.run_dir, 4))


@INITS
@pytest.mark.parametrize("enabled", [False, True])
def test_the_export_loads_into_the_weights_as_they_were(tmp_path, init, enabled):
    settings = {"ema.enabled": enabled, "optimizer.learning_rate": 0.02}
    project, ctx, _ = trained(tmp_path, init, **settings)
    export.run(ctx)
    state = train.build_state(ctx)
    parts = saved_parts(ctx.run_dir, 4)
    state.load({**parts, "model": parts["ema"]} if enabled else parts, 4)
    expected = predicted(ctx, state.model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = SanaVideoPipeline.from_pretrained(project.root / "models/tiny")
    before = predicted(ctx, pipeline.transformer)

    pipeline.load_lora_weights(ctx.run_dir / "export")

    assert (expected - before).abs().max() > 1e-3
    torch.testing.assert_close(predicted(ctx, pipeline.transformer), expected, rtol=0, atol=1e-5)
    pipeline.fuse_lora()
    torch.testing.assert_close(predicted(ctx, pipeline.transformer), expected, rtol=0, atol=1e-5)
    with safe_open(ctx.run_dir / "export" / FILE, framework="pt") as stored:
        assert stored.get_tensor("transformer.transformer_blocks.0.attn1.to_q.lora_A.weight").shape[0] == 8
    page = (ctx.run_dir / "export" / "README.md").read_text()
    assert "| rank, alpha | 8, 16 |" in page
    assert f"It was trained at rank 4, beginning with a part of the weights (`{init}`)" in page


def test_a_checkpoint_of_another_beginning_is_refused(tmp_path):
    _, split_run, _ = trained(tmp_path / "split", "pissa")
    _, plain_run, _ = trained(tmp_path / "plain", "default")

    with pytest.raises(CheckpointError, match="checkpoint's split does not fit"):
        train.build_state(plain_run).load(saved_parts(split_run.run_dir, 4), 4)
    with pytest.raises(CheckpointError, match="checkpoint's split does not fit"):
        train.build_state(split_run).load(saved_parts(plain_run.run_dir, 4), 4)
