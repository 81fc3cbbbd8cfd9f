import math
from dataclasses import replace

import pytest
import torch

from fakes_training import batch_maker, encoded_project
from recipe_runtime.optim import build_optimizer
from recipe_runtime.step import train_step
from recipe_runtime.train import build_state


def after_one_step(tmp_path, rate=1e-3, **overrides):
    """Take the first step of a project; return its result, the gradients that it used, and the state after it."""
    _, ctx, _ = encoded_project(tmp_path, **overrides)
    state = build_state(ctx)
    result = train_step(state.model, state.optimizer, batch_maker(ctx).make(0), rate=rate, settings=ctx.settings.train)
    named = state.model.named_parameters()
    gradients = {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}
    return result, gradients, state


def total_norm(gradients):
    return torch.stack([gradient.norm() for gradient in gradients.values()]).norm().item()


@pytest.mark.parametrize("split", [(2, 2), (1, 4)])
def test_accumulating_k_times_one_is_one_times_k(tmp_path, split):
    whole, expected, _ = after_one_step(tmp_path / "whole", **{"train.batch_size": 4, "train.max_grad_norm": 0.0})
    size, count = split

    result, found, _ = after_one_step(
        tmp_path,
        **{"train.batch_size": size, "train.gradient_accumulation_steps": count, "train.max_grad_norm": 0.0},
    )

    assert result.losses == pytest.approx(whole.losses, rel=1e-5)
    assert result.grad_norm == pytest.approx(whole.grad_norm, rel=1e-5)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-4, atol=1e-6), name


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_gradient_checkpointing_changes_no_bit(tmp_path, precision):
    settings = {"train.mixed_precision": precision, "train.batch_size": 2}
    plain, expected, _ = after_one_step(tmp_path / "plain", **settings)

    result, found, _ = after_one_step(tmp_path, **settings, **{"memory.gradient_checkpointing": True})

    assert result == plain
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())


def test_mixed_precision_keeps_weights_and_moments_in_fp32_and_comes_close(tmp_path):
    exact, _, _ = after_one_step(tmp_path / "exact")

    result, gradients, state = after_one_step(tmp_path, **{"train.mixed_precision": "bf16"})

    assert {gradient.dtype for gradient in gradients.values()} == {torch.float32}
    assert {tensor.dtype for part in state.parts().values() for tensor in part.values()} == {torch.float32}
    assert result.loss != exact.loss
    assert result.loss == pytest.approx(exact.loss, rel=0.02)
    assert result.grad_norm == pytest.approx(exact.grad_norm, rel=0.05)


def test_the_norm_is_reported_before_it_is_clipped(tmp_path):
    free, _, _ = after_one_step(tmp_path / "free", **{"train.max_grad_norm": 0.0})

    result, clipped, _ = after_one_step(tmp_path, **{"train.max_grad_norm": 0.1})

    assert result.grad_norm == free.grad_norm > 0.1
    assert total_norm(clipped) == pytest.approx(0.1, rel=1e-3)


def test_clipping_by_value_cuts_each_element(tmp_path):
    limit = 1e-3
    _, free, _ = after_one_step(tmp_path / "free", **{"train.max_grad_norm": 0.0})

    _, clipped, _ = after_one_step(tmp_path, **{"train.max_grad_norm": limit, "train.grad_clip_method": "value"})

    assert all(torch.equal(clipped[name], gradient.clamp(-limit, limit)) for name, gradient in free.items())


def test_the_rate_of_the_step_is_applied(tmp_path):
    _, _, still = after_one_step(tmp_path / "still", rate=0.0)
    _, _, moved = after_one_step(tmp_path, rate=1e-3)

    # Adam's first update moves each weight by the rate, whatever the size of its gradient.
    change = (still.model.proj_out.bias - moved.model.proj_out.bias).abs()
    assert change.max().item() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_step_that_is_not_finite_changes_nothing(tmp_path, broken):
    _, ctx, _ = encoded_project(tmp_path)
    state = build_state(ctx)
    batch = batch_maker(ctx).make(0)
    poisoned = replace(batch.parts[0], latents=torch.full_like(batch.parts[0].latents, broken))
    before = {name: parameter.detach().clone() for name, parameter in state.model.named_parameters()}

    result = train_step(
        state.model, state.optimizer, replace(batch, parts=(poisoned,)), rate=1e-3, settings=ctx.settings.train
    )

    assert not result.finite
    assert all(torch.equal(before[name], parameter) for name, parameter in state.model.named_parameters())
    assert not state.optimizer.state


def test_the_optimizer_is_adamw_with_the_plans_constants(tmp_path):
    _, ctx, _ = encoded_project(
        tmp_path, **{"optimizer.beta1": 0.8, "optimizer.beta2": 0.95, "optimizer.weight_decay": 0.5}
    )
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = build_optimizer([weight], ctx.settings.optimizer, seed=0)

    weight.grad = torch.tensor([0.25])
    optimizer.step()

    rate = ctx.settings.optimizer.learning_rate
    group = optimizer.param_groups[0]
    assert (group["betas"], group["eps"], group["fused"]) == ((0.8, 0.95), 1e-10, True)
    assert weight.item() == pytest.approx(1.0 * (1 - rate * 0.5) - rate, abs=1e-6)
