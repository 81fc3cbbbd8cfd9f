import dataclasses
import math

import pytest
import torch

from fakes_runtime import CLIPS, Clip
from fakes_training import encoded_project, same_bits, saved_parts
from recipe_runtime import train
from recipe_runtime.encode_text import text_index
from recipe_runtime.encode_video import latent_index
from recipe_runtime.evaluate import Evaluator, clip_noise, spaced_levels
from recipe_runtime.noise import SCHEDULES, NoiseLevel
from recipe_runtime.notes import note
from recipe_runtime.stop import StopRequested
from recipe_runtime.team import Team
from recipe_schema.events import Evaluated
from recipe_schema.family import load_family


SET_APART = (
    Clip(name="e.mp4", caption="a gray disc waits", fate="evaluated"),
    Clip(name="f.mp4", caption="a black disc falls", size=(128, 72), bucket=(96, 64), fate="evaluated"),
)
MEASURED = {"clips": CLIPS + SET_APART, "evaluation.timesteps": 5, "prompts": (), "max_steps": 6}


def project(tmp_path, **overrides):
    return encoded_project(tmp_path, **MEASURED | {"evaluation.step_interval": 2} | overrides)


def evaluator(ctx):
    return Evaluator(ctx, latents=latent_index(ctx), texts=text_index(ctx))


def figures(tmp_path, **overrides):
    _, ctx, events = project(tmp_path, **overrides)
    evaluator(ctx).measure(train.build_state(ctx))
    return events.of(Evaluated)


def untimed(event):
    return dataclasses.replace(event, seconds=0.0)


def test_levels_are_the_middles_of_equal_parts_of_the_table():
    levels = [NoiseLevel(index / 10, index) for index in range(10)]

    assert [level.timestep for level in spaced_levels(levels, 5)] == [1, 3, 5, 7, 9]
    assert [level.timestep for level in spaced_levels(levels, 1)] == [5]
    assert spaced_levels(levels, 10) == tuple(levels)


def test_the_loss_is_the_mean_squared_error_of_the_velocity_at_each_level(tmp_path):
    _, ctx, events = project(tmp_path, **{"evaluation.num_clips": 1})
    state = train.build_state(ctx)
    evaluator(ctx).measure(state)
    (figure,) = events.of(Evaluated)

    (row,) = [r for r in ctx.eval_rows if r.sha256 == min(row.sha256 for row in ctx.eval_rows)]
    data = ctx.store.read("latents", latent_index(ctx)[row.clip_id])["latents"][None]
    text = ctx.store.read("text", text_index(ctx)[row.text, True])["embeds"][None].float()
    noise = clip_noise(row, data[0])[None]
    table = SCHEDULES["official"](load_family("sana-video-480p").raw["noise_schedules"]["official"]).levels
    expected = []
    for level in (table[index] for index in (100, 300, 500, 700, 900)):
        noisy = (1 - level.sigma) * data + level.sigma * noise
        with torch.no_grad():
            guess = state.model(noisy, text, torch.tensor([level.timestep]), return_dict=False)[0]
        expected.append((guess - (noise - data)).square().mean().item())
    assert figure.losses == pytest.approx(expected, rel=1e-5)
    assert figure.loss == pytest.approx(math.fsum(expected) / 5, rel=1e-5)
    assert figure.sigmas == tuple(table[index].sigma for index in (100, 300, 500, 700, 900))


def test_the_same_weights_give_the_same_figure_bit_for_bit_whatever_the_run_s_seed(tmp_path):
    first = figures(tmp_path / "a")
    second = figures(tmp_path / "b", **{"train.seed": 7, "train.caption_dropout_probability": 1.0})

    assert list(map(untimed, first)) == list(map(untimed, second))


def test_a_batch_of_several_levels_changes_nothing(tmp_path):
    (one,), (three,) = figures(tmp_path / "a"), figures(tmp_path / "b", **{"train.batch_size": 3})

    assert three.losses == pytest.approx(one.losses, rel=1e-5)


def test_measuring_leaves_training_as_it_was_bit_for_bit(tmp_path):
    _, measured, events = project(tmp_path / "measured", **{"ema.enabled": True})
    _, without, _ = project(tmp_path / "without", **{"ema.enabled": True, "evaluation.step_interval": None})
    train.run(measured, StopRequested())
    train.run(without, StopRequested())

    assert same_bits(saved_parts(measured.run_dir, 6), saved_parts(without.run_dir, 6))
    figures = events.of(Evaluated)
    assert [(f.step, f.weights, f.clips) for f in figures] == [
        (step, weights, 2) for step in (0, 2, 4, 6) for weights in ("model", "ema")
    ]
    assert figures[0].losses == figures[1].losses
    assert figures[2].loss != figures[0].loss


def test_clips_that_are_set_apart_are_never_trained(tmp_path):
    _, ctx, _ = project(tmp_path)

    assert {row.path for row in ctx.rows} == {clip.name for clip in CLIPS}
    assert {row.path for row in ctx.eval_rows} == {"e.mp4", "f.mp4"}


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"evaluation.step_interval": None}, []),
        ({"evaluation.step_interval": 4}, [0, 4, 6]),
        ({"evaluation.step_interval": 50}, [0, 6]),
        ({"evaluation.step_interval": None, "evaluation.epoch_interval": 1.0}, [0, 4, 6]),
        ({"evaluation.step_interval": None, "evaluation.epoch_interval": 0.5}, [0, 2, 4, 6]),
        ({"evaluation.step_interval": 2, "evaluation.epoch_interval": 0.3}, [0, 2, 3, 4, 5, 6]),
        ({"clips": CLIPS}, []),
        ({"evaluation.dataset_id": "others"}, []),
    ],
)
def test_it_is_measured_at_the_intervals_before_the_first_step_and_at_the_end(tmp_path, settings, steps):
    _, ctx, events = project(tmp_path, **settings)
    state = train.build_state(ctx)
    own = evaluator(ctx)
    for step in range(7):
        state.step = step
        if own.is_due(state.step):
            own.measure(state)

    assert [figure.step for figure in events.of(Evaluated)] == steps


def test_one_figure_may_stand_for_all_data_sets(tmp_path):
    (pooled,) = figures(tmp_path / "a", **{"evaluation.pooling": True})
    (own,) = figures(tmp_path / "b")

    assert (pooled.dataset, own.dataset) == ("all", "discs")
    assert pooled.losses == own.losses


def test_a_figure_is_told_in_a_line(tmp_path):
    (figure,) = figures(tmp_path)
    line = note(dataclasses.replace(figure, loss=1.25))

    assert line == "evaluate: loss 1.2500 of the weights of step 0 on 2 clips of discs"
    one = dataclasses.replace(figure, loss=1.25, clips=1, dataset="all", weights="ema")
    assert note(one) == "evaluate: loss 1.2500 of the average of step 0 on 1 clip"


def test_a_data_set_of_fewer_clips_than_a_batch_is_measured(tmp_path):
    (one,) = figures(tmp_path / "a", clips=CLIPS + SET_APART[:1], **{"train.batch_size": 4})
    (levels,) = figures(
        tmp_path / "b", clips=CLIPS + SET_APART[:1], **{"train.batch_size": 4, "evaluation.timesteps": 1}
    )

    assert (one.clips, len(one.losses)) == (1, 5)
    assert levels.losses[0] == pytest.approx(one.losses[2], rel=1e-5)


class Half(Team):
    """One of two processes, which notes its part and gets the other's."""

    def __init__(self, rank, other=None):
        self.rank, self.size, self.other = rank, 2, other

    def sum_figures(self, own):
        self.own = own.clone()
        if self.other is not None:
            own += self.other


def test_the_processes_of_a_team_share_the_clips_and_no_bit_changes(tmp_path):
    (alone,) = figures(tmp_path / "alone", **{"train.batch_size": 2})
    _, ctx, events = project(tmp_path, **{"train.batch_size": 2})
    state, asked = train.build_state(ctx), []
    state.model.register_forward_pre_hook(lambda *_: asked.append(1))
    state.team = Half(1)
    evaluator(ctx).measure(state)
    state.team = Half(0, other=state.team.own)

    evaluator(ctx).measure(state)

    assert untimed(events.of(Evaluated)[-1]) == untimed(alone)
    assert len(asked) == 2 * 3  # each measures one clip of two, five levels in batches of two


def test_as_many_levels_are_measured_at_once_as_clips_of_the_data_set_are_trained_at_once(tmp_path):
    sizes = {}
    for own in (None, 2):
        _, ctx, _ = project(tmp_path / str(own), **{"train.batch_size": 3, "data.datasets.0.train_batch_size": own})
        state, seen = train.build_state(ctx), []
        state.model.register_forward_pre_hook(
            lambda _m, _a, given, seen=seen: seen.append(len(given["hidden_states"])), with_kwargs=True
        )
        evaluator(ctx).measure(state)
        sizes[own] = seen

    assert sizes == {None: [3, 2] * 2, 2: [2, 2, 1] * 2}


def test_weights_that_are_averaged_by_the_optimizer_are_measured_before_the_first_step_too(tmp_path):
    figures = {}
    for name in ("adamw", "schedule-free"):
        _, ctx, events = project(tmp_path / name, **{"optimizer.name": name})
        train.run(ctx, StopRequested())
        figures[name] = {(event.step, event.dataset): event.losses for event in events.of(Evaluated)}

    assert figures["adamw"].keys() == figures["schedule-free"].keys()
    assert {key for key in figures["adamw"] if figures["adamw"][key] == figures["schedule-free"][key]} == {(0, "discs")}
