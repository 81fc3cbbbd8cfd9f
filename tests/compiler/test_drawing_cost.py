"""What validation clips cost, where it is said, and when it is too much."""

import pytest

from fakes_clips import make_project
from recipe_compiler.cli.diff_text import _cost
from recipe_compiler.cli.plan_text import cost_text
from recipe_compiler.passes.compare import Pair
from recipe_compiler.passes.drawing_cost import clips_at_once, rounds, times_drawn
from recipe_compiler.passes.estimate import estimate, forward_flop
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_schema.family import load_family
from recipe_schema.plan import Bucket, Phase, Schedule


FAMILY = load_family("sana-video-480p")
SCHEDULE = Schedule(max_steps=100, samples_per_step=1, samples_per_epoch=8)
LOOKS = {"validation.prompt": "a", "validation.resolution": "832x480", "validation.num_video_frames": 81}
TWENTY = {**LOOKS, "validation.num_inference_steps": 20, "validation.guidance": 6.0, "validation.step_interval": 50}


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    """Return the settings of a recipe."""
    found = compile_recipe(make_project(tmp_path_factory.mktemp("project")), Options()).settings.values()
    return {**found, "model.random_weights": None}


def cost(values, **changes):
    buckets = (Bucket(width=832, height=480, frames=81, clips=8, samples=8),)
    return estimate({**values, **changes}, FAMILY, buckets, SCHEDULE, {"832x480@81": 8})


@pytest.mark.parametrize(
    ("changes", "times"),
    [
        ({"step_interval": None}, 1),
        ({"step_interval": None, "on_startup": True}, 2),
        ({"step_interval": 30}, 4),
        ({"step_interval": 50}, 2),
        ({"step_interval": 30, "after_step": 60}, 3),
        ({"step_interval": 30, "after_step": 61}, 2),
        ({"step_interval": 30, "after_step": 1000}, 1),
        ({"step_interval": 200}, 1),
        ({"step_interval": None, "epoch_interval": 1}, 13),  # after 8, 16, ..., 96 and at the end
        ({"step_interval": 8, "epoch_interval": 1}, 13),
        ({"step_interval": None, "epoch_interval": 5, "on_startup": True}, 4),
    ],
)
def test_validations_are_counted_as_the_trainer_counts_them(values, changes, times):
    looks = {"step_interval": None, "epoch_interval": None, "on_startup": False, "after_step": 0, **changes}

    assert times_drawn({**values, **{f"validation.{key}": value for key, value in looks.items()}}, SCHEDULE) == times


def test_epochs_of_phases_are_counted_by_their_own_lengths(values):
    phases = (
        Phase(first_step=0, steps=10, first_epoch=0, epochs=1.0, first_pass=0, first_image_pass=0, datasets=("a",)),
        Phase(
            first_step=10, steps=40, first_epoch=1, epochs=2.0, first_pass=1, first_image_pass=0, datasets=("a", "b")
        ),
    )
    schedule = Schedule(max_steps=50, samples_per_step=1, samples_per_epoch=10, phases=phases)
    drawn = [
        step for step in range(1, 51) if step == 50 or schedule.intervals(step, 1) > schedule.intervals(step - 1, 1)
    ]

    looks = {"validation.step_interval": None, "validation.epoch_interval": 1, "validation.on_startup": False}
    assert times_drawn({**values, **looks}, schedule) == len(drawn) == 3


def test_processes_share_clips(values):
    looks = {**LOOKS, "validation.num_clips": 2, "ema.enabled": True, "ema.validation": "comparison"}
    looks |= {"validation.prompt_library": {"cat": "a cat", "dog": "a dog"}}

    assert clips_at_once({**values, **looks}) == 12
    assert rounds({**values, **looks, "launch.processes": 5}) == 3
    assert rounds({**values, **looks, "launch.processes": 2, "launch.machines": 2}) == 3


def test_drawing_is_a_pass_for_each_step_with_guidance_two(values):
    forward = forward_flop(FAMILY.transformer(None), FAMILY.tokens(832, 480, 81))
    passes = 3 + int(values["memory.gradient_checkpointing"])

    found = cost(values, **TWENTY)

    assert found["draw_pflop"] == pytest.approx(2 * 40 * forward / 1e15, rel=1e-3)
    assert found["draw_share"] == pytest.approx(80 / (80 + 100 * passes), rel=1e-3)
    assert cost_text(found)[3].endswith(f"for validation clips, about {found['draw_share']:.0%} of the time")
    half = cost(values, **{**TWENTY, "validation.guidance": 1.0})
    assert half["draw_pflop"] == pytest.approx(found["draw_pflop"] / 2, rel=1e-3)


def test_what_is_not_drawn_costs_nothing_and_is_not_told(values):
    found = cost(values, **{"validation.prompt": None})

    assert (found["draw_pflop"], found["draw_share"]) == (0, 0)
    assert len(cost_text(found)) == 3
    assert cost_text({name: value for name, value in found.items() if name != "draw_pflop"}) == cost_text(found)


def test_two_plans_are_compared_in_what_they_draw(values):
    less, more = cost(values, **TWENTY), cost(values, **{**TWENTY, "validation.guidance": 1.0})

    (line,) = _cost([Pair(name="draw_pflop", old=less["draw_pflop"], new=more["draw_pflop"])])
    assert line.startswith("validation clips: ")
    assert line.endswith("(-50%)")
    (line,) = _cost([Pair(name="draw_pflop", old=None, new=more["draw_pflop"])])  # an earlier version said nothing
    assert line.startswith("validation clips: 0.0 GFLOP → ")


def costly(recipe, *overrides, look=True):
    usual = ("validation.prompt=a", "validation.num_inference_steps=20", "validation.guidance=6", *overrides)
    usual = ("memory.gradient_checkpointing=false", "train.max_steps=4000", *usual)
    found = compile_recipe(recipe, Options(overrides=usual, look_at_data=look)).found
    return [finding for finding in found if finding.code == "R604"]


def test_what_processes_draw_together_takes_less_time(tmp_path):
    recipe = make_project(tmp_path)
    library = "validation.prompt_library={b: b, c: c, d: d}"  # four prompts, 160 passes beside 3 a step

    (alone,) = costly(recipe, library, "validation.step_interval=159", look=False)
    assert alone.message.startswith("validation takes about 25% of the run: 4 prompts every 159 steps")
    assert "draw every 160 steps or more" in alone.help
    assert costly(recipe, library, "validation.step_interval=160", look=False) == []
    assert costly(recipe, library, "validation.step_interval=40", "launch.processes=4", look=False) == []
    assert len(costly(recipe, library, "validation.step_interval=39", "launch.processes=4", look=False)) == 1


def test_large_clips_beside_small_ones_and_epochs_count_where_the_data_is_known(tmp_path):
    recipe = make_project(tmp_path)
    bucket = ("data.buckets=[96x64, 832x480]", "validation.resolution=832x480")
    epochs = ("validation.epoch_interval=20", *bucket)

    (found,) = costly(recipe, "validation.step_interval=100", *bucket)
    assert "every 100 steps" in found.message
    assert costly(recipe, "validation.step_interval=100", *bucket, look=False) == []
    (found,) = costly(recipe, *epochs)
    assert "1 prompt every 20 epochs" in found.message
    assert "epochs or more" in found.help
    assert costly(recipe, *epochs, look=False) == []
