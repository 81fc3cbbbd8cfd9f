"""Training a Kronecker product: what begins, what resumes, what diffusers makes of the export."""

import pytest
import torch
from accelerate import init_empty_weights
from diffusers.models.transformers.transformer_sana_video import SanaVideoTransformer3DModel
from peft import LoKrConfig, inject_adapter_in_model
from safetensors.torch import load_file

from fakes_adapters import plain_model, predicted
from fakes_runtime import make_context
from fakes_training import encoded_project, same_bits, saved_parts
from recipe_compiler.passes.layers import adaptable_layers, lokr_parameters
from recipe_runtime import export, preflight, train
from recipe_runtime.errors import ModelError
from recipe_runtime.models.adapter import add_adapter, target_layers
from recipe_runtime.models.trained import trained_parameters
from recipe_runtime.models.transformer import build_transformer, weight_files
from recipe_runtime.stop import StopRequested
from recipe_schema.family import load_family
from recipe_schema.sections.model import Lora


FILE = "pytorch_lora_weights.safetensors"
EVERYWHERE = ["to_*", "to_out.0", "ff.conv_*"]
LOKR = {
    "model.type": "lora",
    "model.lora.type": "lokr",
    "model.lora.rank": 4,
    "model.lora.alpha": 8.0,
    "model.lora.lokr_factor": 4,
    "model.lora.target_modules": EVERYWHERE,
    "prompts": (),
}


def trained(tmp_path, **settings):
    project, ctx, events = encoded_project(tmp_path, **{**LOKR, **settings})
    train.run(ctx, StopRequested())
    return project, ctx, events


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_a_new_product_changes_no_bit_of_what_the_model_computes(tmp_path, precision):
    settings = {"train.mixed_precision": precision}
    _, ctx, _ = encoded_project(tmp_path, **LOKR, **settings)

    model = train.build_state(ctx).model

    expected = predicted(ctx, plain_model(tmp_path, **settings), precision)
    assert torch.equal(predicted(ctx, model, precision), expected)


def test_only_factors_are_trained_in_fp32_and_they_begin_as_pefts_do(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **LOKR)
    model = train.build_state(ctx).model

    found = trained_parameters(model)

    assert all(".lokr_w" in name and parameter.dtype == torch.float32 for name, parameter in found.items())
    assert len({name.partition(".lokr_")[0] for name in found}) == 2 * 12
    assert all(bool((parameter == 0).all()) for name, parameter in found.items() if ".lokr_w1." in name)
    theirs = build_transformer(ctx.root / "models/tiny/transformer", weight_files(ctx.root / "models/tiny/transformer"))
    inject_adapter_in_model(
        LoKrConfig(r=4, alpha=8, decompose_factor=4, target_modules=["attn1.to_q", "ff.conv_temp"]), theirs
    )
    same = {name: parameter for name, parameter in theirs.named_parameters() if ".lokr_" in name}
    assert {name: parameter.shape for name, parameter in same.items()} == {name: found[name].shape for name in same}
    for name in (name for name in same if ".lokr_w2" in name):
        bound = float(same[name].detach().abs().max())
        assert 0.5 * bound < float(found[name].detach().abs().max()) < 2 * bound


@pytest.mark.parametrize(
    "settings",
    [
        {"train.mixed_precision": "bf16", "memory.gradient_checkpointing": True},
        {"model.base_model_precision": "int8-quanto"},
        {"optimizer.name": "adamw_bf16", "train.mixed_precision": "bf16", "ema.enabled": True},
    ],
    ids=["bf16", "int8", "ema"],
)
def test_stopping_and_going_on_equals_going_straight_on_bit_for_bit(tmp_path, settings):
    _, straight, _ = trained(tmp_path / "straight", **settings)
    project, ctx, _ = trained(tmp_path / "cut", **settings)
    (ctx.run_dir / "checkpoints" / "step-00000004" / "state.json").unlink()

    train.run(make_context(project), StopRequested())

    parts = saved_parts(straight.run_dir, 4)
    assert same_bits(saved_parts(ctx.run_dir, 4), parts)
    assert any(float(value.float().abs().max()) > 0 for name, value in parts["model"].items() if ".lokr_w1." in name)


@pytest.mark.parametrize("factor", [4, -1])
def test_diffusers_loads_the_export_and_merges_it(tmp_path, factor):
    _, ctx, _ = trained(tmp_path, **{"model.lora.lokr_factor": factor, "optimizer.learning_rate": 0.02})
    export.run(ctx)
    state = train.build_state(ctx)
    state.load(saved_parts(ctx.run_dir, 4), 4)
    expected = predicted(ctx, state.model)
    plain = plain_model(tmp_path)
    before = predicted(ctx, plain)

    plain.load_lora_adapter(ctx.run_dir / "export", weight_name=FILE, prefix="transformer")

    loaded = predicted(ctx, plain)
    assert (expected - before).abs().max() > 1e-3
    torch.testing.assert_close(loaded, expected, rtol=0, atol=1e-5)
    plain.fuse_lora()
    torch.testing.assert_close(predicted(ctx, plain), expected, rtol=0, atol=1e-5)


def test_the_export_says_how_it_is_loaded(tmp_path):
    _, ctx, _ = trained(tmp_path)

    export.run(ctx)

    page = (ctx.run_dir / "export" / "README.md").read_text()
    assert "LoKr adapter" in page
    assert f'"path/to/this/folder", weight_name="{FILE}", prefix="transformer"' in page
    assert "load_lora_weights" not in page


def test_training_goes_on_from_an_exported_product_of_the_same_form_alone(tmp_path):
    _, first, _ = trained(tmp_path / "first")
    export.run(first)
    given = {"model.lora.init_from": str(first.run_dir / "export")}
    _, ctx, _ = encoded_project(tmp_path / "second", **LOKR, **given)

    model = train.build_state(ctx).model

    parts = saved_parts(first.run_dir, 4)["model"]
    assert all(torch.equal(parameter, parts[name]) for name, parameter in trained_parameters(model).items())
    _, other, _ = encoded_project(tmp_path / "third", **{**LOKR, "model.lora.alpha": 4.0}, **given)
    with pytest.raises(ModelError, match=r"scaled by 2 .*alpha: 8"):
        preflight.check(other)
    _, standard, _ = encoded_project(tmp_path / "fourth", **{**LOKR, "model.lora.type": "standard"}, **given)
    with pytest.raises(ModelError, match=r"conv_depth|does not fit"):
        preflight.check(standard)


def test_a_file_keeps_the_names_that_peft_gives(tmp_path):
    _, ctx, _ = trained(tmp_path)
    export.run(ctx)

    found = load_file(ctx.run_dir / "export" / FILE)

    assert "transformer.transformer_blocks.0.attn1.to_q.lokr_w1" in found


def test_a_convolution_over_frames_and_space_can_have_no_product(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **{**LOKR, "model.lora.target_modules": ["patch_embedding"]})

    with pytest.raises(ModelError, match="patch_embedding, which is no linear layer and no two-dimensional"):
        preflight.check(ctx)


@pytest.mark.parametrize("factor", [16, -1, 7])
@pytest.mark.parametrize("rank", [4, 64])
def test_the_compiler_counts_the_factors_as_they_are(factor, rank):
    config = load_family("sana-video-480p").raw["transformer"]
    with init_empty_weights(include_buffers=False):
        model = SanaVideoTransformer3DModel(**config)
    able = target_layers(model, ["*"], "lokr")
    counted = adaptable_layers(config, "lokr")
    assert sorted(layer.name for layer in counted) == sorted(able)
    settings = Lora(
        type="lokr",
        rank=rank,
        alpha=16.0,
        dropout=0.0,
        target_modules=("*",),
        init="default",
        init_from=None,
        use_dora=False,
        merge=False,
        lokr_factor=factor,
    )

    add_adapter(model, settings, seed=0)

    found = sum(parameter.numel() for parameter in trained_parameters(model).values())
    assert lokr_parameters(counted, rank=rank, factor=factor) == found
