import dataclasses
import math

import pytest
import torch

from fakes_runtime import CLIPS, make_context
from fakes_training import StopAfter, batch_maker, encoded_project, same_bits, saved_parts
from recipe_runtime import train
from recipe_runtime.errors import StoppedBySignal
from recipe_runtime.inputs import make_inputs
from recipe_runtime.objective import interpolate
from recipe_runtime.randomness import generator
from recipe_runtime.rollout import LEAST_SIGMA, draw_offset, probability, roll_out, rolled_target
from recipe_runtime.step import train_step
from recipe_runtime.stop import StopRequested
from recipe_schema.section import keys_of
from recipe_schema.sections.regularizers import Rollout


def settings(**values):
    return Rollout(**{name: key.default for name, key in keys_of(Rollout).items()} | values)


def offsets(strategy, count=4000, most=100, sigma=0.5):
    ours = settings(max_step_offset=most, probability=1.0, strategy=strategy)
    return [draw_offset(ours, 0, sigma, generator(0, "test", index)) for index in range(count)]


def test_the_probability_is_constant_without_a_ramp_and_zero_before_its_start():
    ours = settings(probability=0.25, start_step=5)

    assert [probability(ours, step) for step in (0, 4, 5, 500)] == [0.0, 0.0, 0.25, 0.25]


def test_a_ramp_goes_from_start_to_end_and_stays_there():
    ours = settings(probability=0.1, prob_end=0.5, ramp_steps=4, start_step=2)

    assert [probability(ours, step) for step in (1, 2, 4, 6, 99)] == pytest.approx([0.0, 0.1, 0.3, 0.5, 0.5])
    explicit = settings(prob_start=0.0, prob_end=1.0, ramp_steps=4, ramp_shape="cosine")
    assert [probability(explicit, step) for step in (0, 1, 2, 4)] == pytest.approx(
        [0.0, (1 - math.cos(math.pi / 4)) / 2, 0.5, 1.0]
    )


@pytest.mark.parametrize(("strategy", "mean"), [("uniform", 50), ("biased_early", 100 / 3), ("biased_late", 200 / 3)])
def test_lengths_keep_their_bounds_and_have_the_mean_of_their_law(strategy, mean):
    drawn = offsets(strategy)

    assert (min(drawn), max(drawn)) == (0, 100)
    assert sum(drawn) / len(drawn) == pytest.approx(mean, abs=1.5)


def test_no_sample_starts_beyond_pure_noise_or_ends_at_next_to_none():
    assert max(offsets("uniform", sigma=0.97)) == 30
    assert max(offsets("uniform", count=50, sigma=1.0)) == 0
    assert max(offsets("uniform", count=50, sigma=LEAST_SIGMA - 1e-6)) == 0


def test_samples_are_rolled_out_as_often_as_the_probability_says():
    ours = settings(max_step_offset=1, probability=0.3, strategy="biased_late")
    rolled = [draw_offset(ours, 0, 0.5, generator(0, "often", index)) for index in range(4000)]

    assert sum(rolled) / 4000 == pytest.approx(0.3 * math.sqrt(0.5), abs=0.02)  # round(1 - r²) is 1 for r < √½


def curved(noisy, sigma, chosen):
    """A velocity that depends on place, level and sample."""
    return torch.sin(noisy) + sigma.view(-1, 1) * (chosen.view(-1, 1) + 1)


def stepped(noisy, sigma, count, index, heun):
    """Sample one sample by itself."""
    x, chosen = noisy.clone(), torch.tensor([index])
    for left in range(count, 0, -1):
        here = torch.tensor([sigma + left / 1000])
        v = curved(x, here, chosen)
        if heun:
            v = (v + curved(x - v / 1000, here - 1 / 1000, chosen)) / 2
        x = x - v / 1000
    return x


@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_a_batch_is_sampled_as_each_of_its_samples_by_itself(sampler):
    data, noise = torch.randn(3, 4, generator=generator(0, "d")), torch.randn(3, 4, generator=generator(0, "n"))
    sigma, counts = torch.tensor([0.2, 0.5, 0.9]), torch.tensor([7, 0, 30])

    def start(level):
        return (1 - level.view(-1, 1)) * data + level.view(-1, 1) * noise

    result = roll_out(curved, start, sigma, counts, sampler=sampler, order=2)

    begin = start(sigma + counts / 1000)
    for index in range(3):
        alone = stepped(begin[index : index + 1], sigma[index], int(counts[index]), index, sampler == "heun")
        assert torch.allclose(result[index], alone[0], atol=1e-6)
    assert torch.equal(result[1], begin[1])


def test_the_model_sees_only_samples_that_are_under_way():
    seen = []

    def predict(noisy, _, chosen):
        seen.append(chosen.tolist())
        return torch.zeros_like(noisy)

    roll_out(
        predict, lambda _: torch.zeros(3, 2), torch.full((3,), 0.5), torch.tensor([2, 0, 3]), sampler="euler", order=2
    )

    assert seen == [[2], [0, 2], [0, 2]]


def test_without_offsets_the_model_is_not_asked():
    def never(*_):
        raise AssertionError

    roll_out(
        never,
        lambda _: torch.zeros(2, 2),
        torch.full((2,), 0.5),
        torch.zeros(2, dtype=torch.int64),
        sampler="heun",
        order=2,
    )


def test_the_rederived_target_leads_to_the_clip_and_the_kept_one_is_the_straight_velocity():
    data, noise, noisy = torch.randn(3, 2, 4, generator=generator(0, "target"))
    sigma, counts = torch.tensor([0.5, 0.25]), torch.tensor([3, 0])

    target = rolled_target(noisy, data, noise, sigma, counts, target="rederived")

    assert torch.allclose(noisy[0] - 0.5 * target[0], data[0], atol=1e-6)
    assert torch.equal(target[1], (noise - data)[1])
    assert torch.equal(rolled_target(noisy, data, noise, sigma, counts, target="kept"), noise - data)


# In a training run


ROLLED = {
    "max_steps": 6,
    "prompts": (),
    "train.batch_size": 2,
    "regularizers.rollout.max_step_offset": 3,
    "regularizers.rollout.probability": 0.7,
}


def test_without_rollouts_nothing_changes_and_with_them_something_does(tmp_path):
    weights = {}
    for name, more in {"off": {"regularizers.rollout.probability": 0.0}, "on": {}}.items():
        _, ctx, _ = encoded_project(tmp_path / name, **ROLLED | more)
        train.run(ctx, StopRequested())
        weights[name] = saved_parts(ctx.run_dir, 6)
    plain = {key: value for key, value in ROLLED.items() if not key.startswith("regularizers")}
    _, ctx, _ = encoded_project(tmp_path / "absent", **plain)
    train.run(ctx, StopRequested())

    assert same_bits(weights["off"], saved_parts(ctx.run_dir, 6))
    assert not same_bits(weights["on"], weights["off"])


def test_a_probability_of_zero_costs_no_forward_pass(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **ROLLED | {"regularizers.rollout.probability": 0.0})
    state, batch = train.build_state(ctx), batch_maker(ctx).make(0)
    passes = []
    state.model.register_forward_pre_hook(lambda *_: passes.append(1))

    train_step(state.model, state.optimizer, batch, rate=1e-4, settings=ctx.settings.train)

    assert len(passes) == 1
    assert all(part.offsets is None for part in batch.parts)


def test_the_input_is_what_sampling_by_hand_gives_and_the_model_is_in_training_again(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **ROLLED | {"regularizers.rollout.probability": 1.0})
    state, maker = train.build_state(ctx), batch_maker(ctx)
    part = next(p for step in range(9) for p in maker.make(step).parts if p.offsets is not None and p.offsets[0] > 1)

    inputs = make_inputs(state.model, part, ctx.settings.train)
    noisy, target = inputs.noisy, inputs.target

    count, sigma = int(part.offsets[0]), part.sigma[:1]
    x = interpolate(part.latents[:1], part.noise[:1], sigma + count / 1000)
    for left in range(count, 0, -1):
        told = (sigma * 1000 + left + 1e-3).floor().long()
        with torch.no_grad():
            guess = state.model(x, part.text[:1], told, encoder_attention_mask=part.mask[:1], return_dict=False)[0]
        x = x - guess / 1000
    assert torch.allclose(noisy[:1], x, atol=1e-5)
    assert torch.allclose(noisy[:1] - sigma.view(1, 1, 1, 1, 1) * target[:1], part.latents[:1], atol=1e-4)
    assert state.model.training


@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_a_run_with_rollouts_resumes_bit_for_bit(tmp_path, sampler):
    ramp = {"ramp_steps": 4, "prob_start": 0.2, "prob_end": 1.0, "start_step": 1, "sampler": sampler, "target": "kept"}
    settings = ROLLED | {f"regularizers.rollout.{name}": value for name, value in ramp.items()}
    _, straight, _ = encoded_project(tmp_path / "straight", **settings)
    train.run(straight, StopRequested())
    project, _, _ = encoded_project(tmp_path / "cut", **settings)
    stop = StopAfter(3)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)

    train.run(make_context(project), StopRequested())

    assert same_bits(saved_parts(project.run_dir, 6), saved_parts(straight.run_dir, 6))


def test_cutting_a_step_into_micro_batches_changes_nothing(tmp_path):
    """The samples are rolled out alike; only the order of sums differs."""
    losses = []
    for batch, accumulation in ((2, 1), (1, 2)):
        settings = ROLLED | {"train.batch_size": batch, "train.gradient_accumulation_steps": accumulation}
        _, ctx, _ = encoded_project(tmp_path / str(batch), **settings)
        state = train.build_state(ctx)
        step = train_step(
            state.model, state.optimizer, batch_maker(ctx).make(0), rate=1e-4, settings=ctx.settings.train
        )
        losses.append(step.losses)

    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


# With slices of weights, which each pass gathers


@pytest.mark.parametrize(("sampler", "passes"), [("euler", 5), ("heun", 10), ("unipc", 5)])
def test_a_process_with_shorter_rollouts_takes_as_many_passes_as_the_others(sampler, passes):
    start, sigma, counts = (
        torch.randn(2, 4, generator=generator(0, "s")),
        torch.tensor([0.2, 0.5]),
        torch.tensor([2, 3]),
    )
    seen = []

    def predict(noisy, level, chosen):
        seen.append(len(chosen))
        return curved(noisy, level, chosen)

    alone = roll_out(curved, lambda _: start.clone(), sigma, counts, sampler=sampler, order=2)
    together = roll_out(predict, lambda _: start.clone(), sigma, counts, sampler=sampler, order=2, longest=5)

    assert torch.equal(alone, together)
    assert len(seen) == passes
    none = torch.zeros(2, dtype=torch.int64)
    assert torch.equal(
        roll_out(predict, lambda _: start.clone(), sigma, none, sampler=sampler, order=2, longest=5), start
    )
    assert len(seen) == 2 * passes


@pytest.mark.parametrize("strategy", ["fsdp2", "ddp"])
def test_processes_agree_on_the_passes_of_each_micro_batch(tmp_path, strategy):
    shared = {
        "launch.processes": 2,
        "launch.strategy": strategy,
        "train.batch_size": 1,
        "train.gradient_accumulation_steps": 2,
        "regularizers.rollout.reflexflow": True,
        "regularizers.rollout.sampler": "heun",
    }
    clips = tuple(dataclasses.replace(clip, repeats=1) for clip in CLIPS)
    _, ctx, _ = encoded_project(tmp_path, **ROLLED | shared, clips=clips)
    makers = [batch_maker(dataclasses.replace(ctx, rank=rank)) for rank in (0, 1)]
    whole, state, uneven = batch_maker(ctx), train.build_state(ctx), 0
    passes = []
    state.model.register_forward_pre_hook(lambda *_: passes.append(1))
    for step in range(8):
        each = [maker.make(step).parts for maker in makers]
        for parts in zip(*each, strict=True):
            longest = max(0 if part.offsets is None else int(part.offsets.max()) for part in parts)
            assert {part.longest for part in parts} == {longest if strategy == "fsdp2" else 0}
            counts = []
            for part in parts:
                passes.clear()
                inputs = make_inputs(state.model, part, ctx.settings.train)
                counts.append(len(passes))
                if inputs.offsets is None or not inputs.offsets.any():
                    assert torch.equal(inputs.noisy, interpolate(part.latents, part.noise, part.sigma))
            uneven += counts[0] != counts[1]
        assert all(part.longest == 0 for part in whole.whole(step).parts)
    assert (uneven == 0) == (strategy == "fsdp2")
