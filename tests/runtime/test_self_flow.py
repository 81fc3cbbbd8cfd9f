import dataclasses

import pytest
import torch
from torch.nn import functional

from fakes_training import batch_maker, encoded_project, same_bits, saved_parts
from recipe_runtime import train
from recipe_runtime.inputs import make_cleaner, make_two_levels
from recipe_runtime.objective import interpolate, sample_losses
from recipe_runtime.step import train_step
from recipe_runtime.stop import StopRequested
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

    inputs = make_two_levels(part)

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
    inputs = make_two_levels(part)
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
    inputs, prediction = make_two_levels(part), torch.zeros_like(part.latents)
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

    assert same_bits(*(saved_parts(tmp_path / name / "runs" / "test", 4) for name in "ab"))
