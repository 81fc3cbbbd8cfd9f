"""Training the biases alone: what is trained, stored, resumed and exported."""

import pytest
import torch
from accelerate import init_empty_weights
from diffusers.models.transformers.transformer_sana_video import SanaVideoTransformer3DModel

from fakes_adapters import plain_model, predicted
from fakes_runtime import make_context
from fakes_training import encoded_project, same_bits, saved_parts
from recipe_compiler.passes.estimate import bias_parameters
from recipe_runtime import export, train
from recipe_runtime.models.trained import train_biases, trained_parameters
from recipe_runtime.models.transformer import build_transformer, weight_files
from recipe_runtime.stop import StopRequested
from recipe_schema.family import load_family


BIASES = {"train.layer_freeze_strategy": "bitfit", "prompts": ()}


def trained(tmp_path, **settings):
    project, ctx, events = encoded_project(tmp_path, **{**BIASES, **settings})
    train.run(ctx, StopRequested())
    return project, ctx, events


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_weights_are_frozen_and_the_model_computes_the_same_bits(tmp_path, precision):
    settings = {"train.mixed_precision": precision}
    _, ctx, _ = encoded_project(tmp_path, **BIASES, **settings)

    model = train.build_state(ctx).model

    names = set(trained_parameters(model))
    assert names == {name for name, _ in model.named_parameters() if name.endswith(".bias")}
    assert len(names) == 1 + 3 + 2 + 1 + 2 * (1 + 4 + 2)
    assert all(parameter.dtype == torch.float32 for parameter in trained_parameters(model).values())
    stored = torch.bfloat16 if precision == "bf16" else torch.float32
    assert model.transformer_blocks[0].attn1.to_out[0].weight.dtype == stored
    expected = predicted(ctx, plain_model(tmp_path, **settings), precision)
    assert torch.equal(predicted(ctx, model, precision), expected)


@pytest.mark.parametrize(("decay_all", "groups"), [(True, [0.1]), (False, [0.0])])
def test_the_optimizer_holds_biases_in_one_group(tmp_path, decay_all, groups):
    decay = {"optimizer.weight_decay": 0.1, "optimizer.decay_all": decay_all}
    _, ctx, _ = encoded_project(tmp_path, **BIASES, **decay)

    state = train.build_state(ctx)

    assert [group["weight_decay"] for group in state.optimizer.param_groups] == groups
    assert len(state.optimizer.param_groups[0]["params"]) == len(trained_parameters(state.model))


@pytest.mark.parametrize(
    "settings",
    [
        {"ema.enabled": True},
        {"optimizer.name": "adamw_bf16", "train.mixed_precision": "bf16", "memory.gradient_checkpointing": True},
        {"optimizer.release_gradients": True, "train.max_grad_norm": 0.0},
    ],
    ids=["ema", "bf16", "released"],
)
def test_stopping_and_going_on_equals_going_straight_on_bit_for_bit(tmp_path, settings):
    _, straight, _ = trained(tmp_path / "straight", **settings)
    project, ctx, _ = trained(tmp_path / "cut", **settings)
    (ctx.run_dir / "checkpoints" / "step-00000004" / "state.json").unlink()

    train.run(make_context(project), StopRequested())

    assert same_bits(saved_parts(ctx.run_dir, 4), saved_parts(straight.run_dir, 4))


def test_a_step_is_that_of_all_weights_for_the_biases(tmp_path):
    one = {"train.max_steps": 1, "max_steps": 1, "train.max_grad_norm": 0.0, "checkpoints.step_interval": 1}
    _, ctx, _ = trained(tmp_path / "biases", **one)
    _, whole, _ = encoded_project(tmp_path / "whole", prompts=(), **one)
    train.run(whole, StopRequested())

    found, expected = (saved_parts(c.run_dir, 1)["model"] for c in (ctx, whole))

    assert all(name.endswith(".bias") for name in found)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-7)


def test_the_export_is_a_whole_model_with_other_biases(tmp_path):
    project, ctx, _ = trained(tmp_path)
    export.run(ctx)

    home = project.root / "models/tiny/transformer"
    before = build_transformer(home, weight_files(home)).state_dict()
    folder = ctx.run_dir / "export" / "transformer"
    after = build_transformer(folder, weight_files(folder)).state_dict()

    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.endswith(".bias") for name in changed)
    parts = saved_parts(ctx.run_dir, 4)["model"]
    assert all(torch.equal(after[name], value) for name, value in parts.items())


def test_the_compiler_counts_biases_as_they_are():
    config = load_family("sana-video-480p").raw["transformer"]
    with init_empty_weights(include_buffers=False):
        model = SanaVideoTransformer3DModel(**config)
    train_biases(model)

    found = sum(parameter.numel() for parameter in trained_parameters(model).values())

    assert bias_parameters(config) == found
