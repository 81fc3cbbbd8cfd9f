"""Clips that are measured and not trained."""

import shutil
from pathlib import Path

import pytest

from fakes_clips import make_clip, make_project
from recipe_compiler.cli.main import main
from recipe_compiler.data.set_apart import set_apart
from recipe_compiler.data.verify import changed_clips
from recipe_compiler.passes.estimate import forward_flop
from recipe_compiler.passes.evaluation_cost import evaluation_pflop
from recipe_compiler.pipeline import Options, compile_recipe, make_plan
from recipe_schema.family import load_family
from recipe_schema.ledger import ClipRow
from recipe_schema.plan import Schedule


MEASURED = "evaluation.step_interval=5"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    recipe = make_project(tmp_path_factory.mktemp("project"))
    for index in range(12):
        make_clip(recipe.parent / "many" / f"{index}.mp4", frames=12 + index, caption=f"bar {index}")
    return recipe


def compiled(project, *overrides, folder="many", kind="video"):
    data = f"data.datasets=[{{id: x, instance_data_dir: {folder}, dataset_type: {kind}, video: {{num_frames: 9}}}}]"
    return compile_recipe(project, Options(overrides=[data, *overrides], must_run=True))


def measured(done):
    return {row.path for row in done.survey.rows if row.fate == "evaluated"}


class Settings(dict):
    """Settings of which only two are asked for."""

    def __init__(self, kind="video", fraction=None):
        super().__init__({"x.dataset_type": kind, "evaluation.fraction": fraction})


def row(name, content=None, fate="trained"):
    return ClipRow(dataset="x", path=name, fate=fate, sha256=content or name)


def test_a_share_of_the_clips_is_set_apart_by_their_content():
    rows = [row(str(index)) for index in range(4000)]

    apart = set_apart(rows, Settings(fraction=0.25), "x")

    count = sum(r.fate == "evaluated" for r in apart)
    assert count == pytest.approx(1000, abs=90)
    assert set_apart(rows[:100], Settings(fraction=0.25), "x") == apart[:100]
    assert {r.reason for r in apart} == {"", "set apart for measuring: evaluation.fraction is 0.25"}


def test_a_larger_share_keeps_the_clips_of_a_smaller_one():
    rows = [row(str(index)) for index in range(300)]
    small, large = (set_apart(rows, Settings(fraction=share), "x") for share in (0.1, 0.4))

    assert {r.path for r in small if r.fate == "evaluated"} < {r.path for r in large if r.fate == "evaluated"}


def test_copies_of_a_clip_are_on_the_same_side():
    rows = [row(f"{index}-{copy}", content=str(index)) for index in range(60) for copy in "ab"]
    fates = {r.path: r.fate for r in set_apart(rows, Settings(fraction=0.5), "x")}

    assert all(fates[f"{index}-a"] == fates[f"{index}-b"] for index in range(60))
    assert len(set(fates.values())) == 2


def test_what_is_left_out_stays_left_out():
    rows = [row("a", fate="filtered"), row("b")]

    assert [r.fate for r in set_apart(rows, Settings("eval"), "x")] == ["filtered", "evaluated"]
    assert set_apart(rows, Settings(), "x") == tuple(rows)


def test_what_is_measured_is_not_trained_and_is_encoded(project):
    with_share = compiled(project, MEASURED, "evaluation.fraction=0.4")
    without = compiled(project)
    plan, other = make_plan(with_share), make_plan(without)

    apart = measured(with_share)
    assert 0 < len(apart) < 12
    assert with_share.found == without.found == ()
    assert sum(bucket.clips for bucket in plan.body.buckets) == 12 - len(apart)
    assert plan.plan_id != other.plan_id
    texts = {stage.id: stage.inputs for stage in plan.body.stages}
    plain = {stage.id: stage.inputs for stage in other.body.stages}
    assert texts["encode-text"] == plain["encode-text"]  # all captions are encoded, whoever needs them
    assert texts["encode-video"] == plain["encode-video"]  # and so are all clips
    assert plan.meta["clips"] == {"trained": 12 - len(apart), "evaluated": len(apart)}


def test_a_data_set_may_be_for_measuring_alone(project):
    both = (
        "data.datasets=[{id: x, instance_data_dir: many, video: {num_frames: 9}},"
        " {id: held-out, instance_data_dir: clips, dataset_type: eval, video: {num_frames: 9}}]"
    )
    done = compile_recipe(project, Options(overrides=[both, MEASURED], must_run=True))

    assert done.found == ()
    assert {row.dataset for row in done.survey.rows if row.fate == "evaluated"} == {"held-out"}
    assert {row.reason for row in done.survey.rows if row.fate == "evaluated"} == {"the data set is for measuring"}


def test_a_measured_clip_without_a_caption_is_missed_too(project):
    both = (
        "data.datasets=[{id: x, instance_data_dir: many, video: {num_frames: 9}},"
        " {id: y, instance_data_dir: mixed, dataset_type: eval, video: {num_frames: 9, min_frames: 5}}]"
    )
    (project.parent / "mixed" / "long.txt").rename(project.parent / "mixed" / "kept")
    try:
        done = compile_recipe(project, Options(overrides=[both, MEASURED]))
    finally:
        (project.parent / "mixed" / "kept").rename(project.parent / "mixed" / "long.txt")

    assert "R306" in [d.code for d in done.found]


def test_a_share_that_comes_to_nothing_is_an_error(project):
    (finding,) = compiled(project, MEASURED, "evaluation.fraction=0.0001").found

    assert (finding.code, finding.severity) == ("R423", "error")
    assert finding.message == "`evaluation.fraction: 0.0001` sets none of 12 clips apart"


def test_a_measured_clip_that_changed_since_the_plan_is_named(project, tmp_path):
    done = compiled(project, MEASURED, "evaluation.fraction=0.4")
    shutil.copytree(project.parent / "many", tmp_path / "many")
    name = min(measured(done))
    with (tmp_path / "many" / name).open("ab") as file:
        file.write(b"more")

    (finding,) = changed_clips(done.survey.rows, {"x": tmp_path / "many"})

    assert f"clip `x/{name}` has" in finding.message


USUAL = {
    "model.random_weights": None,
    "ema.enabled": False,
    "evaluation.dataset_id": None,
    "evaluation.num_clips": 2,
    "evaluation.timesteps": 28,
    "evaluation.step_interval": 20,
    "evaluation.epoch_interval": None,
}


@pytest.mark.parametrize(
    ("changes", "times"),
    [
        ({}, 2 * 6),  # two clips; before the first step, at 20, 40, 60 and 80, and at the end
        ({"evaluation.num_clips": 9}, 3 * 6),
        ({"evaluation.step_interval": 1000}, 2 * 2),
        ({"evaluation.step_interval": None}, 0),
        ({"evaluation.step_interval": None, "evaluation.epoch_interval": 5.0}, 2 * 3),
        ({"ema.enabled": True}, 2 * 2 * 6),
        ({"evaluation.timesteps": 7}, 2 * 6 / 4),
        ({"evaluation.dataset_id": "y"}, 0),
    ],
)
def test_what_measuring_costs_is_counted(changes, times):
    family, size = load_family("sana-video-480p"), {"bucket_width": 832, "bucket_height": 480, "bucket_frames": 81}
    rows = [ClipRow(dataset="x", path=str(n), fate="evaluated", **size) for n in range(3)]
    rows.append(ClipRow(dataset="y", path="t", fate="trained", **size))
    schedule = Schedule(max_steps=100, samples_per_step=1, samples_per_epoch=10)

    found = evaluation_pflop({**USUAL, **changes}, family, rows, schedule)

    flop = forward_flop(family.transformer(None), family.tokens(832, 480, 81))
    assert found == pytest.approx(times * 28 * flop / 1e15, rel=1e-2)


def test_a_plan_says_what_measuring_costs(project, capsys):
    data = "data.datasets=[{id: x, instance_data_dir: many, video: {num_frames: 9}}]"
    chosen = ["--set", data, "--set", "evaluation.fraction=0.4"]

    for more, expected in (([], False), (["--set", MEASURED], True)):
        assert main(["explain", str(project), *chosen, *more]) == 0
        assert (" to measure" in capsys.readouterr().out) == expected
