import dataclasses

import pytest
import torch
from torch.nn import functional

from fakes_runtime import make_context
from fakes_training import StopAfter, batch_maker, encoded_project, same_bits, saved_parts
from recipe_runtime import train
from recipe_runtime.errors import StoppedBySignal
from recipe_runtime.inputs import make_cleaner, make_inputs, not_training
from recipe_runtime.objective import interpolate, sample_losses
from recipe_runtime.reflexflow import drift
from recipe_runtime.rollout import LEAST_SIGMA, within
from recipe_runtime.step import train_step
from recipe_runtime.stop import StopRequested
from recipe_runtime.unipc import UniPc
from recipe_schema.events import Aligned
from recipe_schema.record import replace


CREPA = "regularizers.crepa"
SELF_FLOW = {
    "prompts": (),
    "train.batch_size": 2,
    "train.max_grad_norm": 0.0,
    "ema.enabled": True,
    f"{CREPA}.enabled": True,
    f"{CREPA}.block_index": 0,
    f"{CREPA}.teacher_block_index": 1,
    f"{CREPA}.feature_source": "self_flow",
    f"{CREPA}.self_flow_mask_ratio": 0.25,
}


def project(tmp_path, **overrides):
    return encoded_project(tmp_path, **SELF_FLOW | overrides)


def first_part(ctx, step=0):
    return batch_maker(ctx).make(step).parts[0]


def take(ctx, state, batch, *, step=0):
    state.alignment.begin(step)
    return train_step(
        state.model, state.optimizer, batch, rate=0.0, settings=ctx.settings.train, alignment=state.alignment
    )


def test_a_share_of_tokens_has_the_second_level_and_the_others_the_first(tmp_path):
    _, ctx, _ = project(tmp_path)
    part = first_part(ctx)

    inputs = make_inputs(None, part, ctx.settings.train)

    frames, rows, columns = part.second_tokens.shape[1:]
    assert part.second_tokens.flatten(1).sum(dim=1).tolist() == [round(frames * rows * columns / 4)] * 2
    assert inputs.timestep.shape == (2, frames * rows * columns)
    first, second = (interpolate(part.latents, part.noise, level) for level in (part.sigma, part.second_sigma))
    for sample, frame, row, column in part.second_tokens.nonzero().tolist()[:20]:
        place = (sample, slice(None), frame, slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2))
        assert torch.equal(inputs.noisy[place], second[place])
        token = (frame * rows + row) * columns + column
        assert inputs.timestep[sample, token] == part.second_timestep[sample]
    for sample, frame, row, column in (~part.second_tokens).nonzero().tolist()[:20]:
        place = (sample, slice(None), frame, slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2))
        assert torch.equal(inputs.noisy[place], first[place])
    assert torch.equal(inputs.target, part.noise - part.latents)


def test_the_second_level_is_another_one_and_the_same_however_a_step_is_cut(tmp_path):
    _, whole, _ = project(tmp_path / "whole")
    _, cut, _ = project(tmp_path / "cut", **{"train.batch_size": 1, "train.gradient_accumulation_steps": 2})
    part, parts = first_part(whole), batch_maker(cut).make(0).parts

    assert not torch.equal(part.sigma, part.second_sigma)
    assert torch.equal(part.second_sigma, torch.cat([one.second_sigma for one in parts]))
    assert torch.equal(part.second_tokens, torch.cat([one.second_tokens for one in parts]))


def test_the_teacher_sees_the_lower_of_both_levels_everywhere(tmp_path):
    _, ctx, _ = project(tmp_path)
    part = first_part(ctx)

    noisy, told = make_cleaner(part)

    lower = torch.minimum(part.sigma, part.second_sigma)
    assert torch.equal(noisy, interpolate(part.latents, part.noise, lower))
    assert (told <= part.timestep).all()
    assert (told <= part.second_timestep).all()


def test_the_teacher_is_the_average_and_gets_no_gradient(tmp_path):
    _, ctx, _ = project(tmp_path, **{f"{CREPA}.adjacent_distance": 0})
    state, batch = train.build_state(ctx), batch_maker(ctx).make(0)
    for shadow in state.average.state().values():
        shadow.mul_(1.1)
    (part,) = batch.parts
    given = {"encoder_attention_mask": part.mask, "return_dict": False}
    heard = {}
    noisy, told = make_cleaner(part)
    inputs = make_inputs(None, part, ctx.settings.train)
    with torch.no_grad():
        hooks = [
            block.register_forward_hook(lambda _m, _i, out, name=name: heard.setdefault(name, out))
            for name, block in enumerate(state.model.transformer_blocks)
        ]
        state.model(inputs.noisy, part.text, inputs.timestep, **given)
        student = heard.pop(0)
        heard.clear()
        with state.average.swapped():
            state.model(noisy, part.text, told, **given)
        for hook in hooks:
            hook.remove()
        cosine = functional.cosine_similarity(state.alignment.projector(student), heard[1], dim=-1).mean()

    take(ctx, state, batch)

    assert state.alignment.finish().similarity == pytest.approx(cosine.item(), abs=1e-5)
    assert state.model.training
    assert all(not shadow.requires_grad for shadow in state.average.state().values())


def test_the_gradient_reaches_the_projector_and_the_blocks_up_to_the_student(tmp_path):
    gradients = {}
    for weight in (0.0001, 0.5):
        _, ctx, _ = project(tmp_path / str(weight), **{f"{CREPA}.weight": weight})
        state = train.build_state(ctx)
        take(ctx, state, batch_maker(ctx).make(0))
        gradients[weight] = {name: p.grad.clone() for name, p in state.optimized().items()}
        assert all(gradients[weight][name].abs().sum() > 0 for name in state.alignment.parameters())

    weak, strong = gradients.values()
    changed = {name for name in weak if not torch.equal(weak[name], strong[name])}
    assert any(name.startswith("transformer_blocks.0.") for name in changed)
    assert not any(name.startswith(("transformer_blocks.1.", "proj_out", "scale_shift_table")) for name in changed)


@pytest.mark.parametrize("extra", [{"enabled": False}, {"weight": 0.0}, {"cutoff_step": 2, "weight": 0.5}])
def test_off_is_as_if_it_were_not_there(tmp_path, extra):
    chosen = {f"{CREPA}.{name}": value for name, value in extra.items()}
    _, plain, _ = encoded_project(tmp_path / "plain", prompts=(), **{"train.batch_size": 2, "ema.enabled": True})
    _, off, events = project(tmp_path / "off", **{"train.max_grad_norm": plain.settings.train.max_grad_norm} | chosen)
    for ctx in (plain, off):
        train.run(ctx, StopRequested())

    parts = [saved_parts(ctx.run_dir, 4) for ctx in (plain, off)]
    assert [event.step for event in events.of(Aligned)] == ([1, 2] if "cutoff_step" in extra else [])
    same = all(torch.equal(tensor, parts[1]["model"][name]) for name, tensor in parts[0]["model"].items())
    assert same == ("cutoff_step" not in extra)
    assert [first_part(off, step).second_sigma is None for step in (0, 3)] == ["cutoff_step" not in extra, True]


def test_alignment_that_a_threshold_has_ended_leaves_one_level(tmp_path):
    _, ctx, _ = project(tmp_path, **{f"{CREPA}.similarity_threshold": 0.5})
    state, batch = train.build_state(ctx), batch_maker(ctx).make(0)
    plain = replace_parts(batch, second_sigma=None)
    state.alignment._ended = True

    assert take(ctx, state, batch).losses == take(ctx, state, plain).losses


def replace_parts(batch, **changes):
    return dataclasses.replace(batch, parts=tuple(dataclasses.replace(part, **changes) for part in batch.parts))


def test_losses_that_depend_on_the_noise_take_each_place_for_itself(tmp_path):
    _, ctx, _ = project(tmp_path)
    part = first_part(ctx)
    inputs, prediction = make_inputs(None, part, ctx.settings.train), torch.zeros_like(part.latents)
    places = (inputs.sigma.amin(dim=(2, 3, 4)) < inputs.sigma.amax(dim=(2, 3, 4))).all()
    assert places
    for changes in ({"loss_type": "huber", "huber_schedule": "snr"}, {"snr_gamma": 5.0}):
        settings = replace(ctx.settings.train, **changes)
        each = [
            sample_losses(
                prediction[:, :, f : f + 1], inputs.target[:, :, f : f + 1], inputs.sigma[:, :, f : f + 1], settings
            )
            for f in range(part.latents.shape[2])
        ]
        whole = sample_losses(prediction, inputs.target, inputs.sigma, settings)
        assert torch.allclose(whole, torch.stack(each).mean(dim=0), rtol=1e-5)
        same = torch.full_like(inputs.sigma, 0.3)
        one = sample_losses(prediction, inputs.target, torch.full((2,), 0.3), settings)
        assert torch.allclose(sample_losses(prediction, inputs.target, same, settings), one, rtol=1e-5)


def test_two_runs_are_the_same_bits(tmp_path):
    for name in "ab":
        _, ctx, _ = project(tmp_path / name, **{"train.mixed_precision": "bf16", "ema.device": "cpu"})
        train.run(ctx, StopRequested())

    assert same_bits(*(saved_parts(tmp_path / name / "project" / "runs" / "test", 4) for name in "ab"))


# With first frames that are given, and with rollouts


VIDEO, ROLLOUT = "data.datasets.0.video", "regularizers.rollout"
GIVEN = {f"{VIDEO}.is_i2v": True, f"{VIDEO}.i2v_probability": 1.0, f"{VIDEO}.i2v_noise": 0.2}
ROLLED = {f"{ROLLOUT}.max_step_offset": 6, f"{ROLLOUT}.probability": 1.0, f"{ROLLOUT}.strategy": "biased_late"}


def by_places(part):
    """Return which places have the second level, (batch, frames, height, width)."""
    places = part.second_tokens
    for axis in (2, 3):
        places = places.repeat_interleave(2, dim=axis)
    return places


def test_a_given_frame_keeps_its_own_level_and_the_share_is_that_of_the_other_tokens(tmp_path):
    _, ctx, _ = project(tmp_path, **GIVEN)
    part = first_part(ctx)

    inputs = make_inputs(None, part, ctx.settings.train)
    cleaner, told = make_cleaner(part)

    frames, rows, columns = part.second_tokens.shape[1:]
    assert not part.second_tokens[:, 0].any()
    assert part.second_tokens.flatten(1).sum(dim=1).tolist() == [round((frames - 1) * rows * columns / 4)] * 2
    own = interpolate(part.latents, part.noise, part.first.sigma)[:, :, 0]
    assert torch.equal(inputs.noisy[:, :, 0], own)
    assert torch.equal(cleaner[:, :, 0], own)
    assert told.shape == part.timestep.shape
    sigma = torch.where(
        by_places(part)[:, None], part.second_sigma.view(-1, 1, 1, 1, 1), part.sigma.view(-1, 1, 1, 1, 1)
    )
    assert torch.equal(inputs.noisy[:, :, 1:], interpolate(part.latents, part.noise, sigma)[:, :, 1:])


def test_the_model_is_told_the_level_of_a_given_frame_and_of_each_token_behind_it(tmp_path):
    _, ctx, _ = project(tmp_path, **GIVEN)
    state, batch, told = train.build_state(ctx), batch_maker(ctx).make(0), []
    state.model.register_forward_pre_hook(lambda _m, _a, given: told.append(given["timestep"]), with_kwargs=True)

    take(ctx, state, batch)

    (part,) = batch.parts
    teacher, student = told
    tokens = part.second_tokens[0, 0].numel()
    lower = torch.minimum(part.timestep, part.second_timestep)
    assert torch.equal(teacher[:, 0], part.first.timestep)
    assert torch.equal(teacher[:, 1:], lower[:, None].expand_as(teacher[:, 1:]))
    assert torch.equal(student[:, :tokens], part.first.timestep[:, None].expand(-1, tokens))
    behind = part.second_tokens.flatten(1)[:, tokens:]
    expected = torch.where(behind, part.second_timestep[:, None], part.timestep[:, None])
    assert torch.equal(student[:, tokens:], expected)


def test_a_share_of_zero_given_frames_is_the_same_bits_as_without(tmp_path):
    weights = []
    for name, more in (("never", GIVEN | {f"{VIDEO}.i2v_probability": 0.0}), ("absent", {})):
        _, ctx, _ = project(tmp_path / name, **more)
        train.run(ctx, StopRequested())
        weights.append(saved_parts(ctx.run_dir, 4))

    assert same_bits(*weights)


def rolled_part(ctx, least=3):
    """Return a micro-batch whose first sample is rolled out at both of its levels."""
    maker = batch_maker(ctx)
    for step in range(40):
        (part,) = maker.make(step).parts
        if part.offsets is not None and within(part.offsets, part.sigma, part.second_sigma)[0] >= least:
            return part
    raise AssertionError


@pytest.mark.parametrize("more", [{}, {"train.timesteps": "exact"}, GIVEN], ids=["whole", "exact", "given"])
def test_each_token_is_rolled_out_from_its_own_level_to_its_own_level(tmp_path, more):
    _, ctx, _ = project(tmp_path, **ROLLED, **more)
    state, part = train.build_state(ctx), rolled_part(ctx)

    inputs = make_inputs(state.model, part, ctx.settings.train)

    count = int(inputs.offsets[0])
    places, tokens = by_places(part)[:1, None], part.second_tokens[:1].flatten(1)
    first, second = part.sigma[:1], part.second_sigma[:1]
    given = None if part.first is None else part.first.of(torch.tensor([0]))

    def level(left):
        sigma = torch.where(
            places, (second + left / 1000).view(-1, 1, 1, 1, 1), (first + left / 1000).view(-1, 1, 1, 1, 1)
        )
        return (
            sigma if given is None else torch.cat([given.sigma * torch.ones_like(sigma[:, :, :1]), sigma[:, :, 1:]], 2)
        )

    def told(left):
        each = torch.where(tokens, (second * 1000 + left + 1e-3)[:, None], (first * 1000 + left + 1e-3)[:, None])
        each = each - 1e-3 if "train.timesteps" in more else each.floor().long()
        if given is not None:
            each[:, : part.second_tokens[0, 0].numel()] = given.timestep
        return each

    x = interpolate(part.latents[:1], part.noise[:1], level(count))
    for left in range(count, 0, -1):
        with torch.no_grad(), not_training(state.model):
            guess = state.model(x, part.text[:1], told(left), encoder_attention_mask=part.mask[:1], return_dict=False)[
                0
            ]
        if given is not None:
            guess[:, :, 0] = 0
        x = x - guess / 1000
    assert torch.allclose(inputs.noisy[:1], x, atol=1e-5)
    learnt = slice(0 if given is None else 1, None)
    straight = inputs.noisy[:1] - level(0) * inputs.target[:1]
    assert torch.allclose(straight[:, :, learnt], part.latents[:1, :, learnt], atol=1e-4)
    assert state.model.training


def test_unipc_takes_both_levels_of_a_sample_as_each_by_itself(tmp_path, monkeypatch):
    _, ctx, _ = project(tmp_path, **ROLLED, **{f"{ROLLOUT}.sampler": "unipc"})
    part = rolled_part(ctx)
    velocity = part.noise.cos()
    monkeypatch.setattr(
        "recipe_runtime.inputs.predict", lambda _m, noisy, _p, **_: velocity[:1].expand_as(noisy) + noisy
    )
    part = dataclasses.replace(part, offsets=part.offsets * torch.tensor([1, 0]))

    inputs = make_inputs(train.build_state(ctx).model, part, ctx.settings.train)

    count, places = int(inputs.offsets[0]), by_places(part)[:1]
    for chosen, sigma in ((places, part.second_sigma[0].item()), (~places, part.sigma[0].item())):
        x, sampler = (
            interpolate(part.latents[0], part.noise[0], torch.tensor([sigma + count / 1000])),
            UniPc(order=2, steps=count),
        )
        for left in range(count, 0, -1):
            x = sampler.step(x, velocity[0] + x, sigma + left / 1000, sigma + (left - 1) / 1000)
        where = chosen.expand_as(x)
        assert torch.allclose(inputs.noisy[0][where], x[where], atol=1e-4)
    assert torch.equal(
        inputs.noisy[1], make_inputs(None, dataclasses.replace(part, offsets=None), ctx.settings.train).noisy[1]
    )


def test_neither_level_starts_beyond_pure_noise_or_ends_at_next_to_none():
    offsets, sigma = torch.full((5,), 40), torch.tensor([0.5, 0.97, 0.5, 0.5, LEAST_SIGMA])
    other = torch.tensor([0.5, 0.2, 0.97, LEAST_SIGMA - 1e-4, 1.0])

    assert within(offsets, sigma, other).tolist() == [40, 30, 30, 0, 0]
    every = torch.arange(1000, dtype=torch.float64) / 1000  # as floats, of which many are a little off
    assert within(torch.full((1000,), 999), every.float(), torch.full((1000,), 0.5)).tolist() == [
        0 if level < 50 else 1000 - max(level, 500) for level in range(1000)
    ]


def test_the_anti_drift_term_lets_all_places_arrive_together(tmp_path):
    """A velocity that leads each place to its clip in its own time has no drift, and the difference alone has some."""
    reflex = {f"{ROLLOUT}.reflexflow": True, f"{ROLLOUT}.reflexflow_beta2": 0.0, f"{ROLLOUT}.reflexflow_beta1": 1.0}
    _, ctx, _ = project(tmp_path, **ROLLED, **reflex)
    state, part = train.build_state(ctx), rolled_part(ctx)
    inputs = make_inputs(state.model, part, ctx.settings.train)
    rolled, back = inputs.offsets > 0, inputs.noisy - part.latents

    assert drift(inputs.target, back / inputs.sigma, rolled, None)[0] == pytest.approx(0, abs=1e-6)
    assert drift(inputs.target, back, rolled, None)[0] > 1e-3

    batch = dataclasses.replace(batch_maker(ctx).make(0), parts=(part,))
    state.alignment.begin(0)
    with torch.no_grad(), state.alignment.listening():
        guess = state.model(
            inputs.noisy, part.text, inputs.timestep, encoder_attention_mask=part.mask, return_dict=False
        )[0]
    expected = sample_losses(guess, inputs.target, inputs.sigma, ctx.settings.train)
    expected = expected + drift(guess, back / inputs.sigma.clamp(min=LEAST_SIGMA), rolled, None)
    assert take(ctx, state, batch).losses == pytest.approx(expected.tolist(), rel=1e-4)


def test_a_rollout_of_alignment_that_has_ended_has_one_level(tmp_path):
    _, ctx, _ = project(tmp_path, **ROLLED, **{f"{CREPA}.similarity_threshold": 0.5})
    state, part = train.build_state(ctx), rolled_part(ctx)
    batch = dataclasses.replace(batch_maker(ctx).make(0), parts=(part,))
    nothing = {"second_sigma": None, "second_timestep": None, "second_tokens": None}
    state.alignment._ended = True

    assert take(ctx, state, batch).losses == take(ctx, state, replace_parts(batch, **nothing)).losses


def test_a_probability_of_zero_changes_nothing_and_asks_nothing(tmp_path):
    _, ctx, _ = project(tmp_path / "never", **ROLLED | {f"{ROLLOUT}.probability": 0.0})
    _, plain, _ = project(tmp_path / "absent")
    losses, passes = [], []
    for each in (ctx, plain):
        state = train.build_state(each)
        state.model.register_forward_pre_hook(lambda *_: passes.append(1))
        losses.append(take(each, state, batch_maker(each).make(0)).losses)

    assert losses[0] == losses[1]
    assert len(passes) == 4  # a teacher and a student each


@pytest.mark.parametrize("sampler", ["heun", "unipc"])
def test_a_run_with_all_of_it_resumes_bit_for_bit(tmp_path, sampler):
    more = {
        "max_steps": 6,
        f"{ROLLOUT}.sampler": sampler,
        f"{ROLLOUT}.reflexflow": True,
        f"{VIDEO}.i2v_probability": 0.5,
    }
    settings = GIVEN | ROLLED | {"train.mixed_precision": "bf16", "memory.gradient_checkpointing": True} | more
    _, straight, _ = project(tmp_path / "straight", **settings)
    train.run(straight, StopRequested())
    cut, _, _ = project(tmp_path / "cut", **settings)
    stop = StopAfter(3)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(cut, [stop]), stop)

    train.run(make_context(cut), StopRequested())

    assert same_bits(saved_parts(cut.run_dir, 6), saved_parts(straight.run_dir, 6))
