"""What regularizers add to the cost of a step."""

import math
import random

import pytest

from fakes_clips import make_project
from recipe_compiler.passes.estimate import estimate
from recipe_compiler.passes.extra_passes import extra_passes
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_schema.family import load_family
from recipe_schema.plan import Bucket, Schedule


ROLLOUT, CREPA = "regularizers.rollout", "regularizers.crepa"
SELF_FLOW = {f"{CREPA}.enabled": True, f"{CREPA}.feature_source": "self_flow", f"{CREPA}.teacher_block_index": 15}


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    """Return the settings of a recipe."""
    return compile_recipe(make_project(tmp_path_factory.mktemp("project")), Options()).settings.values()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.0),
        ({"probability": 0.5}, 0.0),
        ({"max_step_offset": 20}, 0.0),
        ({"max_step_offset": 20, "probability": 0.5}, 5.0),
        ({"max_step_offset": 20, "probability": 0.5, "start_step": 25}, 3.75),
        ({"max_step_offset": 20, "probability": 0.5, "start_step": 200}, 0.0),
        ({"max_step_offset": 20, "probability": 0.5, "sampler": "heun"}, 10.0),
        ({"max_step_offset": 20, "probability": 0.5, "sampler": "unipc"}, 5.0),
        ({"max_step_offset": 20, "probability": 0.5, "reflexflow": True}, 5.5),
        ({"max_step_offset": 20, "probability": 0.5, "reflexflow": True, "reflexflow_alpha": 0.0}, 5.0),
        ({"max_step_offset": 30, "probability": 0.5, "strategy": "biased_early"}, 5.0),
        ({"max_step_offset": 30, "probability": 0.5, "strategy": "biased_late"}, 10.0),
        ({"max_step_offset": 20, "ramp_steps": 50, "prob_end": 0.4}, 10 * (0.5 * 0.2 + 0.5 * 0.4)),
        ({"max_step_offset": 20, "ramp_steps": 200, "prob_start": 0.2, "prob_end": 0.4}, 10 * 0.25),
    ],
)
def test_rollouts_cost_their_mean_length(values, changes, expected):
    chosen = {f"{ROLLOUT}.{name}": value for name, value in changes.items()}

    assert extra_passes({**values, **chosen}, 100) == pytest.approx(expected)


TOGETHER = {"launch.strategy": "fsdp2", "launch.processes": 4}


def drawn_passes(strategy, share, *, samples, sampler="euler", reflexflow=False):
    """Draw rollouts of 20 timesteps in 4 processes; count what the busiest takes at each, for one sample of a batch."""
    draws = random.Random(7)
    longest, processes, steps, taken = 20, 4, 3000, 0

    def length():
        part = draws.random()
        if draws.random() >= share:
            return 0
        if strategy == "uniform":
            return int(part * (longest + 1))
        return round((part**2 if strategy == "biased_early" else 1 - part**2) * longest)

    for _ in range(steps):
        lengths = [[length() for _ in range(samples)] for _ in range(processes)]
        for left in range(1, longest + 1):
            busiest = max(sum(each >= left for each in own) for own in lengths)
            taken += busiest * (2 if sampler == "heun" else 1) + (busiest if reflexflow and left == 1 else 0)
    return taken / samples / steps


@pytest.mark.parametrize(
    ("strategy", "share", "samples", "more"),
    [
        ("uniform", 0.2, 1, {}),
        ("uniform", 0.7, 3, {}),
        ("biased_early", 0.5, 2, {"sampler": "heun"}),
        ("biased_late", 0.1, 1, {}),
        ("biased_late", 0.5, 1, {"reflexflow": True}),
        ("uniform", 1.0, 2, {}),
    ],
)
def test_with_slices_of_weights_a_step_takes_the_passes_of_the_busiest_process(values, strategy, share, samples, more):
    names = {"max_step_offset": 20, "probability": share, "strategy": strategy, **more}
    chosen = {**values, **{f"{ROLLOUT}.{name}": value for name, value in names.items()}, "train.batch_size": samples}
    drawn = drawn_passes(strategy, share, samples=samples, **more)

    found = extra_passes({**chosen, **TOGETHER}, 100)

    # ReflexFlow compares samples that were drawn to be rolled out; a twentieth of them or less has no timestep to go.
    assert found == pytest.approx(drawn, rel=0.03 if not more.get("reflexflow") else 0.05)
    assert found > extra_passes(chosen, 100)
    assert extra_passes({**chosen, **TOGETHER, "launch.strategy": "ddp"}, 100) == extra_passes(chosen, 100)
    assert extra_passes({**chosen, **TOGETHER, "launch.processes": 1}, 100) == extra_passes(chosen, 100)


def test_of_two_rollouts_the_longer_one_counts(values):
    names = {"max_step_offset": 1, "probability": 1.0, "strategy": "uniform"}
    chosen = {**values, **TOGETHER, "launch.processes": 2, **{f"{ROLLOUT}.{name}": v for name, v in names.items()}}

    assert extra_passes(chosen, 100) == pytest.approx(1 - 0.5**2)
    assert extra_passes({**chosen, "launch.machines": 2}, 100) == pytest.approx(1 - 0.5**4)


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_a_ramp_is_followed_to_where_it_ends(values, shape):
    names = {"max_step_offset": 1, "ramp_steps": 100, "prob_start": 0.0, "prob_end": 1.0, "ramp_shape": shape}
    chosen = {**values, **{f"{ROLLOUT}.{name}": value for name, value in names.items()}}
    shares = [i / 1000 if shape == "linear" else (1 - math.cos(math.pi * i / 1000)) / 2 for i in range(1000)]

    assert extra_passes(chosen, 100) == pytest.approx(sum(shares) / 2000, rel=1e-2)
    assert extra_passes(chosen, 50) == pytest.approx(sum(shares[:500]) / 1000, rel=1e-2)
    both = {**chosen, **TOGETHER, "launch.processes": 2}
    assert extra_passes(both, 100) == pytest.approx(sum(1 - (1 - s / 2) ** 2 for s in shares) / 1000, rel=1e-2)


def cost(values, **changes):
    buckets = (Bucket(width=832, height=480, frames=81, clips=10, samples=10),)
    schedule = Schedule(max_steps=100, samples_per_step=1, samples_per_epoch=10)
    chosen = {**values, "model.random_weights": None, **changes}
    return estimate(chosen, load_family("sana-video-480p"), buckets, schedule, {bucket.name: 1 for bucket in buckets})


def test_a_step_with_self_flow_takes_one_pass_more_and_keeps_a_timestep_for_each_token(values):
    whole = {"memory.gradient_checkpointing": False}
    off, on = cost(values, **whole), cost(values, **whole | SELF_FLOW)
    inside = cost(values, **whole | SELF_FLOW | {f"{CREPA}.feature_source": "backbone"})
    unit = 32_760 * 2240 * 2 / 1e9

    assert on["step_tflop"] - off["step_tflop"] == pytest.approx(off["forward_tflop"], rel=1e-2)
    assert inside["step_tflop"] == off["step_tflop"]
    parts = [each["memory_parts_gb"]["activations"] for each in (inside, on)]
    assert parts[1] - parts[0] == pytest.approx((20 * 16 + 7) * unit, rel=1e-2)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, 1.0), ({"cutoff_step": 25}, 0.25), ({"cutoff_step": 200}, 1.0), ({"weight": 0.0}, 0.0)],
)
def test_a_teacher_costs_nothing_once_alignment_has_ended(values, changes, expected):
    chosen = {**SELF_FLOW, **{f"{CREPA}.{name}": value for name, value in changes.items()}}

    assert extra_passes({**values, **chosen}, 100) == expected
