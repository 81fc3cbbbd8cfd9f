"""What regularizers add to the cost of a step."""

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
