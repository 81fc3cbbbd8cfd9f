import math
from dataclasses import replace

import pytest
import torch

from fakes_runtime import make_context
from fakes_training import StopAfter, batch_maker, encoded_project, same_bits, saved_parts
from recipe_runtime import train
from recipe_runtime.errors import StoppedBySignal
from recipe_runtime.inputs import make_inputs
from recipe_runtime.randomness import generator
from recipe_runtime.reflexflow import drift, emphasis
from recipe_runtime.step import train_step
from recipe_runtime.stop import StopRequested
from recipe_schema.record import replace as with_settings


ROLLOUT = "regularizers.rollout"
ROLLED = {
    "max_steps": 6,
    "prompts": (),
    "train.batch_size": 2,
    "train.max_grad_norm": 0.0,
    f"{ROLLOUT}.max_step_offset": 3,
    f"{ROLLOUT}.probability": 0.9,
}
REFLEX = {f"{ROLLOUT}.reflexflow": True}
NOTHING = {f"{ROLLOUT}.reflexflow_beta1": 0.0, f"{ROLLOUT}.reflexflow_beta2": 0.0}


def places(*values):
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, 1, -1)


def test_an_error_counts_by_the_exposure_of_its_place():
    prediction, unrolled = places(1.0, 2.0, 3.0, 4.0), places(1.0, 1.0, 3.0, 1.0)  # apart by 0, 1, 0, 3: mean 1

    weights = emphasis(prediction, unrolled, torch.tensor([True]), strength=0.5)

    assert weights.flatten().tolist() == [1.0, 1.5, 1.0, 2.5]
    assert emphasis(prediction, unrolled, torch.tensor([False]), strength=0.5).flatten().tolist() == [1.0] * 4
    assert emphasis(prediction, prediction, torch.tensor([True]), strength=0.5).flatten().tolist() == [1.0] * 4


def test_no_gradient_goes_through_the_exposure():
    prediction = places(1.0, 2.0).requires_grad_()

    assert not emphasis(prediction, places(0.0, 0.0), torch.tensor([True]), strength=1.0).requires_grad


@pytest.mark.parametrize(
    ("velocity", "expected"),
    [((3.0, 0.0), 0.0), ((-1.0, 0.0), 4.0), ((0.0, 2.0), 2.0), ((1.0, 1.0), 2 - math.sqrt(2)), ((0.0, 0.0), 1.0)],
)
def test_drift_is_the_distance_of_unit_vectors(velocity, expected):
    noisy, data = places(5.0, 1.0), places(1.0, 1.0)  # the way back is along the first axis

    far = drift(places(*velocity), noisy - data, torch.tensor([True]), None)

    assert far.tolist() == pytest.approx([expected], abs=1e-6)
    assert drift(places(*velocity), noisy - data, torch.tensor([False]), None).tolist() == [0.0]


def test_drift_leaves_out_what_a_mask_leaves_out():
    noisy, data = places(5.0, 1.0, 9.0), places(1.0, 1.0, 1.0)
    weights = places(2.0, 2.0, 0.0)

    far = drift(places(1.0, 1.0, -7.0), noisy - data, torch.tensor([True]), weights)

    assert far.tolist() == pytest.approx([2 - math.sqrt(2)], abs=1e-6)


def test_descending_along_its_gradient_turns_the_velocity_to_the_clip():
    velocity = torch.randn(2, 3, 1, 2, 2, generator=generator(0, "v"), requires_grad=True)
    noisy, data = torch.randn(2, 2, 3, 1, 2, 2, generator=generator(0, "x"))
    before = drift(velocity, noisy - data, torch.tensor([True, True]), None)
    before.sum().backward()

    after = drift(velocity - 0.1 * velocity.grad, noisy - data, torch.tensor([True, True]), None)

    assert (after < before).all()


def step_of(tmp_path, **overrides):
    """Take the first step with a rollout; return its result, its gradients and the batch."""
    _, ctx, _ = encoded_project(tmp_path, **ROLLED | overrides)
    state, maker = train.build_state(ctx), batch_maker(ctx)
    number = next(n for n in range(9) if any(p.offsets is not None for p in maker.make(n).parts))
    batch, passes = maker.make(number), []
    state.model.register_forward_pre_hook(
        lambda _m, args, given: passes.append(len(args[0] if args else given["hidden_states"])), with_kwargs=True
    )
    result = train_step(state.model, state.optimizer, batch, rate=0.0, settings=ctx.settings.train)
    gradients = {name: p.grad.clone() for name, p in state.optimized().items()}
    return result, gradients, batch, passes, (ctx, state)


def test_the_loss_of_a_step_is_the_closed_form(tmp_path):
    chosen = REFLEX | {
        f"{ROLLOUT}.reflexflow_{name}": v for name, v in (("alpha", 0.5), ("beta1", 3.0), ("beta2", 2.0))
    }
    result, _, batch, _, (ctx, state) = step_of(tmp_path, **chosen)
    (part,) = batch.parts
    inputs = make_inputs(state.model, part, ctx.settings.train)
    given = {"encoder_attention_mask": part.mask, "return_dict": False}
    with torch.no_grad():
        prediction = state.model(inputs.noisy, part.text, part.timestep, **given)[0]
        level = part.sigma.view(-1, 1, 1, 1, 1)
        plain = state.model((1 - level) * part.latents + level * part.noise, part.text, part.timestep, **given)[0]

    for index, offset in enumerate(part.offsets.tolist()):
        error = (prediction[index] - inputs.target[index]).square()
        if not offset:
            assert result.losses[index] == pytest.approx(error.mean().item(), rel=1e-5)
            continue
        exposure = (prediction[index] - plain[index]).abs()
        way = inputs.noisy[index] - part.latents[index]
        cosine = (prediction[index] * way).sum() / prediction[index].norm() / way.norm()
        expected = ((1 + 0.5 * 2 * exposure / exposure.mean()) * error).mean() + 3 * (2 - 2 * cosine)
        assert result.losses[index] == pytest.approx(expected.item(), rel=1e-4)


def test_weights_of_zero_are_as_if_it_were_off(tmp_path):
    for name, more in {"off": {}, "zero": REFLEX | NOTHING}.items():
        _, ctx, _ = encoded_project(tmp_path / name, **ROLLED | more)
        train.run(ctx, StopRequested())

    assert same_bits(*(saved_parts(tmp_path / name / "project" / "runs" / "test", 6) for name in ("off", "zero")))


@pytest.mark.parametrize("term", ["beta1", "beta2"])
def test_each_term_reaches_the_model_by_itself(tmp_path, term):
    _, plain, _, _, _ = step_of(tmp_path / "off")
    other = {"beta1": "beta2", "beta2": "beta1"}[term]

    _, found, _, _, _ = step_of(tmp_path, **REFLEX, **{f"{ROLLOUT}.reflexflow_{other}": 0.0})

    assert all(gradient.isfinite().all() for gradient in found.values())
    assert any(not torch.equal(gradient, plain[name]) for name, gradient in found.items())


def test_the_pass_more_is_made_for_rolled_samples_and_only_if_asked_for(tmp_path):
    _, _, batch, without, _ = step_of(tmp_path / "beta1", **REFLEX, **{f"{ROLLOUT}.reflexflow_alpha": 0.0})
    _, _, _, passes, _ = step_of(tmp_path, **REFLEX)
    rolled = int((batch.parts[0].offsets > 0).sum())

    assert len(passes) == len(without) + 1
    assert passes[-2] == rolled
    assert passes[-1] == without[-1] == 2


def test_a_batch_without_rollouts_has_no_term(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **ROLLED | REFLEX)
    state, batch = train.build_state(ctx), batch_maker(ctx).make(0)
    plain = replace(batch, parts=tuple(replace(part, offsets=None) for part in batch.parts))
    off = replace(
        plain, parts=tuple(replace(p, rollout=with_settings(p.rollout, reflexflow=False)) for p in plain.parts)
    )
    losses = [
        train_step(state.model, state.optimizer, one, rate=0.0, settings=ctx.settings.train).losses
        for one in (plain, off)
    ]

    assert losses[0] == losses[1]


@pytest.mark.parametrize("more", [{}, {f"{ROLLOUT}.sampler": "unipc", f"{ROLLOUT}.order": 3}])
def test_a_run_resumes_bit_for_bit(tmp_path, more):
    settings = ROLLED | REFLEX | more
    _, straight, _ = encoded_project(tmp_path / "straight", **settings)
    train.run(straight, StopRequested())
    project, _, _ = encoded_project(tmp_path / "cut", **settings)
    stop = StopAfter(3)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)

    train.run(make_context(project), StopRequested())

    assert same_bits(saved_parts(project.run_dir, 6), saved_parts(straight.run_dir, 6))
