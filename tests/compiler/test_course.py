"""The course of training: data sets that come and go, and batch sizes of their own."""

import pytest

from fakes_clips import make_clip
from fakes_masks import make_mask
from recipe_compiler.cli.main import main
from recipe_compiler.data.course import IdleStepsError, count_windows, course
from recipe_compiler.passes.estimate import estimate
from recipe_compiler.pipeline import Options, compile_recipe, make_plan
from recipe_schema.family import load_family
from recipe_schema.ledger import ClipRow
from recipe_schema.plan import Phase


TIMES = {"start_step": 0, "end_step": None, "start_epoch": 1, "end_epoch": None}
RUN = {
    "train.batch_size": 1,
    "train.gradient_accumulation_steps": 1,
    "launch.processes": 1,
    "launch.machines": 1,
    "train.max_steps": None,
    "train.num_epochs": None,
    "data.image_interval": None,
    "data.sampling": "auto-weighting",
}


def settings(*sets, **changes):
    """Settings of data sets by what differs, and of a run."""
    values = {**RUN, **{name.replace("__", "."): value for name, value in changes.items()}}
    for index, own in enumerate(sets):
        usual = {**TIMES, "probability": 1.0, "train_batch_size": None}
        values |= {f"data.datasets.{index}.{key}": value for key, value in {**usual, **own}.items()}
    return values


def clips(dataset, count, *, frames=9, width=64):
    return [
        ClipRow(
            dataset=dataset,
            path=f"{n}.mp4",
            fate="trained",
            bucket_width=width,
            bucket_height=64,
            bucket_frames=frames,
        )
        for n in range(count)
    ]


def phases(values, rows):
    return [
        (p.first_step, p.steps, p.first_epoch, "".join(p.datasets), p.first_pass, p.first_image_pass)
        for p in course(values, rows).schedule.phases
    ]


def test_a_run_whose_data_sets_are_always_in_use_has_no_phases():
    values = settings({"id": "a"}, {"id": "b"}, train__max_steps=7)

    planned = course(values, [*clips("a", 4), *clips("b", 2)])

    assert planned.schedule.phases == ()
    assert (planned.schedule.max_steps, planned.schedule.samples_per_step, planned.schedule.samples_per_epoch) == (
        7,
        1,
        6,
    )


def test_steps_at_which_a_data_set_begins_or_ends_cut_the_run():
    values = settings({"id": "a"}, {"id": "b", "start_step": 4, "end_step": 9}, train__max_steps=20)

    planned = course(values, [*clips("a", 2), *clips("b", 3)])

    # Before step 4, 1.5 epochs pass: the second is cut short, and the next has number 2, counted from 0.
    assert phases(values, [*clips("a", 2), *clips("b", 3)]) == [
        (0, 3, 0, "a", 0, 0),
        (3, 6, 2, "ab", 2, 0),
        (9, 11, 4, "a", 4, 0),
    ]
    assert [phase.epochs for phase in planned.schedule.phases] == [1.5, 1.2, 5.5]
    assert [float(planned.schedule.epochs(step)) for step in (3, 4, 9, 20)] == [1.5, 2.2, 3.2, 9.5]


def test_epochs_at_which_a_data_set_begins_or_ends_cut_the_run():
    values = settings({"id": "a", "end_epoch": 2}, {"id": "b", "start_epoch": 2}, train__num_epochs=3)

    planned = course(values, [*clips("a", 4), *clips("b", 3)])

    assert [(p.first_step, p.steps, "".join(p.datasets)) for p in planned.schedule.phases] == [
        (0, 4, "a"),
        (4, 7, "ab"),
        (11, 3, "b"),
    ]
    assert planned.schedule.max_steps == 14
    assert planned.schedule.samples_per_epoch == pytest.approx(14 / 3)


def test_an_epoch_that_a_step_cuts_short_counts():
    values = settings({"id": "a"}, {"id": "b", "start_step": 3}, train__num_epochs=3)

    assert phases(values, [*clips("a", 4), *clips("b", 4)]) == [(0, 2, 0, "a", 0, 0), (2, 16, 1, "ab", 1, 0)]


def test_a_step_and_an_epoch_that_coincide_are_one_change():
    values = settings({"id": "a"}, {"id": "b", "start_step": 5}, {"id": "c", "start_epoch": 2}, train__max_steps=9)

    rows = [*clips("a", 4), *clips("b", 4), *clips("c", 4)]

    assert [(p[0], p[3]) for p in phases(values, rows)] == [(0, "a"), (4, "abc")]


def test_a_data_set_that_begins_after_the_end_is_in_no_phase():
    values = settings({"id": "a"}, {"id": "b", "start_step": 100}, train__max_steps=9)

    planned = course(values, [*clips("a", 4), *clips("b", 4, width=96)])

    assert [p.datasets for p in planned.schedule.phases] == [("a",)]
    assert {b.name: b.samples for b in planned.buckets} == {"64x64@9": 4, "96x64@9": 0}


@pytest.mark.parametrize(
    ("sets", "change", "step", "epoch"),
    [
        (({"id": "a", "end_epoch": 2},), {"train__max_steps": 20}, 9, 3),
        (({"id": "a", "end_epoch": 2},), {"train__num_epochs": 3}, 9, 3),
        (({"id": "a", "start_epoch": 2},), {"train__max_steps": 20}, 1, 1),
        (({"id": "a", "end_step": 3},), {"train__num_epochs": 2}, 4, 2),
    ],
)
def test_steps_for_which_nothing_is_left_are_named(sets, change, step, epoch):
    with pytest.raises(IdleStepsError) as idle:
        course(settings(*sets, **change), clips("a", 4))

    assert (idle.value.step, idle.value.epoch) == (step, epoch)


def test_epochs_that_fill_no_step_make_one():
    values = settings({"id": "a"}, train__num_epochs=1, train__batch_size=8)

    assert course(values, clips("a", 4)).schedule.max_steps == 1


def test_batch_sizes_make_groups_and_means():
    values = settings(
        {"id": "a"}, {"id": "b", "train_batch_size": 4}, train__num_epochs=1, train__gradient_accumulation_steps=2
    )

    planned = course(values, [*clips("a", 8), *clips("b", 16)])

    assert [(b.name, b.clips, b.samples) for b in planned.buckets] == [("64x64@9", 8, 8), ("64x64@9/4", 16, 16)]
    assert planned.schedule.max_steps == 8 // 2 + 16 // 8
    assert planned.schedule.samples_per_step == 4
    assert planned.schedule.samples_per_epoch == 24


def test_the_batch_size_of_the_run_is_none_of_a_data_sets_own():
    values = settings({"id": "a", "train_batch_size": 2}, train__max_steps=5, train__batch_size=2)

    assert course(values, clips("a", 8)).buckets[0].batch_size is None


def test_passes_of_images_are_counted_apart_and_never_used_twice():
    values = settings(
        {"id": "a", "end_step": 12},
        {"id": "i"},
        {"id": "j", "start_step": 7},
        train__max_steps=20,
        data__image_interval=2,
    )
    rows = [*clips("a", 2), *clips("i", 1, frames=1), *clips("j", 1, frames=1)]

    # steps 3 and 5 of the first six are of i: two passes; then 2 and 3 of both: 1.5 passes; the rest is of images alone
    assert phases(values, rows) == [
        (0, 6, 0, "aij"[0:2], 0, 0),
        (6, 6, 2, "aij", 2, 2),
        (12, 8, 4, "ij", 4, 4),
    ]


def test_images_without_an_interval_go_by_their_number():
    values = settings({"id": "a"}, {"id": "i", "start_step": 5}, train__max_steps=20)
    rows = [*clips("a", 2), *clips("i", 2, frames=1)]

    assert phases(values, rows) == [(0, 4, 0, "a", 0, 0), (4, 16, 2, "ai", 2, 0)]


@pytest.fixture
def recipe(tmp_path):
    for name in ("a", "b"):
        for index in range(4):
            make_clip(tmp_path / name / f"{index}.mp4", frames=12 + index + ord(name), caption=f"{name} {index}")
    for index in range(4):
        make_mask(tmp_path / "i" / f"{index}.png", white=index).with_suffix(".txt").write_text(f"i {index}")
    path = tmp_path / "recipe.yaml"

    def write(first="", second="", train="max_steps: 10", rest=""):
        path.write_text(
            "recipe: 1\nname: r\nmodel: {random_weights: tiny, pretrained_model_name_or_path: tiny}\n"
            "data:\n  buckets: [96x64]\n  datasets:\n"
            f"    - {{id: a, instance_data_dir: a, video: {{num_frames: 9}}{first}}}\n"
            f"    - {{id: b, instance_data_dir: b, video: {{num_frames: 9}}{second}}}\n"
            f"train: {{{train}}}\n{rest}",
            encoding="utf-8",
        )
        return path

    return write


def found(path):
    return [f"{d.code} {d.severity[0]} {d.pointer}" for d in compile_recipe(path, Options(must_run=True)).found]


@pytest.mark.parametrize(
    ("first", "second", "train", "expected"),
    [
        ("", ", end_epoch: 1", "max_steps: 10", []),
        (", end_epoch: 1", ", end_epoch: 2", "max_steps: 11", []),
        (", end_epoch: 1", ", end_epoch: 2", "max_steps: 13", ["R345 e data.datasets.1.end_epoch"]),
        (", end_epoch: 3", ", end_epoch: 2", "num_epochs: 4", ["R345 e data.datasets.0.end_epoch"]),
        (", end_epoch: 3", ", end_epoch: 2", "num_epochs: 3", []),
        (
            ", end_step: 2",
            ", start_epoch: 3",
            "num_epochs: 3",
            ["R345 e data.datasets.1.start_epoch", "R346 w data.datasets.1.start_epoch"],
        ),
        (", start_epoch: 2", ", start_epoch: 3", "num_epochs: 3", ["R417 e data.datasets.0.start_epoch"]),
        (", start_epoch: 3, end_epoch: 2", "", "num_epochs: 3", ["R417 e data.datasets.0.end_epoch"]),
        (", end_epoch: 1", ", disabled: true", "num_epochs: 1", []),
    ],
)
def test_steps_without_data_are_found_before_the_run(recipe, first, second, train, expected):
    assert found(recipe(first, second, train)) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (", end_epoch: 2", ", start_step: 3", ["R346 w data.datasets.0.end_epoch"]),
        (", start_epoch: 2", ", end_step: 9", ["R346 w data.datasets.0.start_epoch"]),
        (", end_epoch: 2", ", start_step: 10", ["R346 w data.datasets.0.end_epoch"]),
        (", end_epoch: 3", ", start_step: 1, end_step: 10", []),
        (", start_epoch: 1", ", start_step: 3", []),
        (", end_epoch: 2", ", start_epoch: 2", []),
    ],
)
def test_times_in_steps_cut_those_in_epochs_short(recipe, first, second, expected):
    assert [code for code in found(recipe(first, second)) if "R345" not in code] == expected


def test_what_is_not_known_yet_is_not_judged(recipe, tmp_path):
    path = recipe(", end_epoch: 1", ", end_epoch: 1")
    assert found(path) == ["R345 e data.datasets.0.end_epoch"]

    (tmp_path / "b" / "0.txt").unlink()

    assert found(path) == ["R306 e data.datasets.1"]


def test_a_run_without_a_length_is_another_matter(recipe):
    assert found(recipe(", end_epoch: 1", ", end_epoch: 1", "seed: 1")) == ["R401 e train"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("train_batch_size: 2", ["R344 w data.datasets.1.train_batch_size"]),
        ("start_step: 3, end_epoch: 2", ["R344 w data.datasets.1.start_step"]),
        ("start_step: 3, end_step: 2", ["R417 e data.datasets.1.end_step"]),
        ("start_step: 0, start_epoch: 1", []),
    ],
)
def test_what_is_not_trained_has_no_times(recipe, keys, expected):
    path = recipe("", f", dataset_type: eval, {keys}", rest="evaluation: {step_interval: 5}\n")

    assert found(path) == expected


def test_a_batch_size_that_a_bucket_never_fills_is_told(recipe):
    path = recipe("", ", train_batch_size: 3", "max_steps: 10, gradient_accumulation_steps: 2")

    (told,) = compile_recipe(path, Options(must_run=True)).found

    assert (told.code, told.pointer) == ("R303", "data.datasets.1.train_batch_size")
    assert told.message == (
        "bucket `96x64@9` has 4 samples (4 clips with repeats), and a step needs 6 (train_batch_size 3 × "
        "gradient_accumulation_steps 2)"
    )
    assert told.help.startswith("set `repeats: 1` for data set `b`")
    # The batch size that it stands in for has no part in it, and its own line is not said twice.
    assert [note.text for note in told.notes] == ["counted here"]


def test_buckets_too_small_for_different_steps_are_told_apart(recipe):
    path = recipe("", ", train_batch_size: 5", "max_steps: 10, batch_size: 6")

    assert sorted(found(path)) == ["R303 e data.datasets.1.train_batch_size", "R303 e train.batch_size"]


def test_figures_name_phases_and_batches(recipe, capsys):
    path = recipe("", ", start_step: 6, train_batch_size: 2")

    assert main(["explain", str(path)]) == 0
    told = capsys.readouterr().out

    assert "data sets  steps 1 to 5, from epoch 1: a\n" in told
    assert "data sets  steps 6 to 10, from epoch 3: a, b\n" in told
    assert "batches of 1 or 2 × 1 accumulated" in told
    assert "4 clips, 1.6 samples an epoch, 0.8 steps (0.8 batches of 2); latents" in told
    assert main(["explain", str(path), "--set", "launch.processes=2", "--set", "data.datasets.1.start_step=0"]) == 0
    told = capsys.readouterr().out
    assert "4 samples an epoch, 1 step (1 batches of 2 on each of 2 processes)" in told
    assert "4 samples an epoch, 2 steps (2 batches of 1 on each of 2 processes)" in told
    assert main(["plan", str(path)]) == 0
    assert "data sets  steps 6 to 10, from epoch 3: a, b\n" in capsys.readouterr().out
    assert main(["diff", str(path), str(path), "--set", "data.datasets.1.start_step=0"]) in (0, 1)
    assert "phases of data sets" in capsys.readouterr().out


def test_a_plan_keeps_its_phases(recipe):
    compiled = compile_recipe(recipe("", ", start_step: 6"), Options())

    plan = make_plan(compiled)

    assert plan.body.schedule.phases[1] == Phase(
        first_step=5, steps=5, first_epoch=2, epochs=0.625, datasets=("a", "b"), first_pass=2, first_image_pass=0
    )


def test_the_largest_micro_batch_decides_the_memory(recipe):
    compiled = compile_recipe(recipe(", train_batch_size: 4", ""), Options())
    values, family = compiled.settings.values(), load_family("sana-video-480p")
    clips = compiled.survey.trained()
    planned = course(values, clips)
    cost = estimate(values, family, planned.buckets, planned.schedule, count_windows(values, clips))
    whole = {**values, "train.batch_size": 4, "data.datasets.0.train_batch_size": None}
    alike = course(whole, compiled.survey.trained())
    wanted = estimate(whole, family, alike.buckets, alike.schedule, count_windows(whole, clips))

    assert cost["largest_bucket"] == "96x64@9/4"
    assert cost["memory_gb"] == wanted["memory_gb"]
    assert cost["step_tflop"] == wanted["step_tflop"]
    assert cost["train_pflop"] == pytest.approx(wanted["train_pflop"] * planned.schedule.samples_per_step / 4, rel=1e-3)
