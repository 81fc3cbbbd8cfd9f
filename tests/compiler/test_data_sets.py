"""What keys of a data set do to its clips."""

import dataclasses
import random
import shutil

import pytest
from hypothesis import given, strategies as st

from fakes_clips import make_clip, make_project
from recipe_compiler.data.filters import choose
from recipe_compiler.pipeline import Options, compile_recipe, make_plan
from recipe_schema.ledger import ClipRow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    recipe = make_project(tmp_path_factory.mktemp("project"))
    home = recipe.parent
    for name, size in (("wide", (192, 96)), ("tall", (96, 192)), ("square", (128, 128)), ("small", (64, 48))):
        make_clip(home / "shapes" / f"{name}.mp4", size=size, frames=30, caption=f"a {name} bar")
    for frames in (9, 30, 60, 84):
        make_clip(home / "lengths" / f"{frames:02}.mp4", frames=frames, caption=f"{frames} frames of a bar")
    make_clip(home / "fast" / "a.mp4", frames=40, fps=32, caption="a fast bar")
    return recipe


def compiled(project, folder, *overrides, **keys):
    """Compile with one data set; ``video.fps`` and the like are written ``video__fps``."""
    flat = {"id": "x", "instance_data_dir": folder, "video__num_frames": 9, **keys}
    sets = [f"data.datasets.0.{key.replace('__', '.')}={value}" for key, value in flat.items()]
    return compile_recipe(
        project, Options(overrides=["data.datasets=[{id: x, instance_data_dir: x}]", *sets, *overrides])
    )


def rows(project, folder, **keys):
    done = compiled(project, folder, **keys)
    assert done.survey is not None, done.found
    return {row.path: row for row in done.survey.rows}


def test_with_a_resolution_each_clip_has_the_size_of_its_own_shape(project):
    found = rows(project, "shapes", resolution=128, aspect_bucket_alignment=32)

    assert {path: row.bucket for path, row in found.items()} == {
        "wide.mp4": "192x96@9",
        "tall.mp4": "96x192@9",
        "square.mp4": "128x128@9",
        "small.mp4": "160x96@9",
    }
    small = found["small.mp4"]
    assert (small.resize_width, small.resize_height, small.crop_left, small.crop_top) == (160, 120, 0, 12)


def test_without_a_resolution_clips_go_to_the_listed_sizes(project):
    assert {row.bucket for row in rows(project, "shapes").values()} <= {"96x64@9", "64x48@9"}


def test_an_alignment_that_the_model_cannot_take_is_one_finding(project):
    done = compiled(project, "shapes", resolution=128, aspect_bucket_alignment=24)

    (found,) = (d for d in done.found if d.severity == "error")
    assert (found.code, found.fix is not None) == ("R341", True)
    assert found.message == "`aspect_bucket_alignment` is 24, and sides have to be multiples of 16"
    assert "R341" not in [d.code for d in compiled(project, "shapes", aspect_bucket_alignment=24).found]


@pytest.mark.parametrize(
    ("keys", "reasons"),
    [
        (
            {"minimum_image_size": 96, "resolution_type": "pixel"},
            {"small.mp4": "too small: 64x48, minimum_image_size is 96 pixels"},
        ),
        (
            {"minimum_image_size": 0.0164, "resolution_type": "area"},
            {
                "small.mp4": "too small: 64x48 is 0.00307 megapixels, minimum_image_size is 0.0164",
                "square.mp4": "too small: 128x128 is 0.0164 megapixels, minimum_image_size is 0.0164",
            },
        ),
        ({"minimum_image_size": 128}, {"small.mp4": "too small: 64x48, minimum_image_size is the area of 128x128"}),
        (
            {"minimum_aspect_ratio": 1},
            {"tall.mp4": "too narrow: 96x192 is 0.500, minimum_aspect_ratio is 1"},
        ),
        (
            {"maximum_aspect_ratio": 1.5},
            {"wide.mp4": "too wide: 192x96 is 2.000, maximum_aspect_ratio is 1.5"},
        ),
    ],
)
def test_clips_of_another_size_or_shape_are_left_out_with_numbers(project, keys, reasons):
    done = compiled(project, "shapes", **keys)
    left_out = {row.path: row.reason for row in done.survey.rows if row.fate == "filtered"}

    assert left_out == reasons
    assert all(row.fate == "trained" for row in done.survey.rows if row.path not in reasons)
    (finding,) = [d for d in done.found if d.code == "R307"]
    assert finding.pointer == f"data.datasets.0.{next(iter(keys))}"
    assert "min_frames" not in finding.help


def test_so_many_clips_are_chosen_and_nothing_is_said(project):
    done = compiled(project, "shapes", max_num_samples=2)
    fates = [row.fate for row in done.survey.rows]

    assert (fates.count("trained"), fates.count("filtered")) == (2, 2)
    assert {row.reason for row in done.survey.rows if row.fate == "filtered"} == {
        "not chosen: max_num_samples takes 2 of 4 clips"
    }
    assert "R307" not in [d.code for d in done.found]
    assert all(row.fate == "trained" for row in rows(project, "shapes", max_num_samples=4).values())


def test_the_choice_does_not_depend_on_names_or_the_seed_of_training(project):
    home = project.parent
    for place, clip in enumerate(sorted((home / "shapes").glob("*.mp4"), reverse=True)):
        (home / "renamed").mkdir(exist_ok=True)
        shutil.copy(clip, home / "renamed" / f"{place}.mp4")
        shutil.copy(clip.with_suffix(".txt"), home / "renamed" / f"{place}.txt")

    def chosen(folder, *overrides):
        done = compiled(project, folder, *overrides, max_num_samples=2)
        return {row.sha256 for row in done.survey.trained()}

    assert chosen("shapes") == chosen("renamed") == chosen("shapes", "train.seed=7")


def ledger(number, filtered):
    plain = ClipRow(dataset="d", path="", fate="trained", reason="")
    return [
        dataclasses.replace(
            plain, path=f"{i}.mp4", sha256=str(i), fate="filtered" if i in filtered else "trained", reason="x"
        )
        for i in range(number)
    ]


@given(st.integers(0, 30), st.sets(st.integers(0, 29)), st.integers(1, 30), st.randoms(use_true_random=False))
def test_a_choice_keeps_every_row_and_does_not_depend_on_order(number, filtered, most, order: random.Random):
    before = ledger(number, filtered)
    mixed = order.sample(before, len(before))
    after, again = choose(before, most), choose(mixed, most)

    trained = {row.path for row in before if row.fate == "trained"}
    kept = {row.path for row in after if row.fate == "trained"}
    assert [row.path for row in after] == [row.path for row in before]
    assert kept == {row.path for row in again if row.fate == "trained"}
    assert kept <= trained
    assert len(kept) == min(most, len(trained))


def test_a_clip_that_comes_changes_the_fate_of_at_most_one_other():
    few, many = choose(ledger(20, set()), 8), choose(ledger(21, set()), 8)

    def kept(some):
        return {row.path for row in some if row.fate == "trained"}

    assert len(kept(few) - kept(many)) <= 1


def test_lengths_are_rounded_to_an_interval_only_with_resolution_frames(project):
    keys = {"video__num_frames": 81, "video__min_frames": 5, "video__frame_interval": 16}

    by_shape = rows(project, "lengths", **keys)
    by_length = rows(project, "lengths", **keys, video__bucket_strategy="resolution_frames")

    assert [row.bucket_frames for row in by_shape.values()] == [9, 29, 57, 81]
    assert [row.bucket for row in by_length.values()] == ["96x64@9", "96x64@13", "96x64@45", "96x64@81"]


def test_the_window_may_lie_in_the_middle(project):
    found = rows(project, "lengths", video__window="middle")

    assert {path: row.start_seconds for path, row in found.items()} == {
        "09.mp4": 0.0,
        "30.mp4": 10 / 16,
        "60.mp4": 25 / 16,
        "84.mp4": 37 / 16,
    }
    assert all(row.start_seconds == 0 for row in rows(project, "lengths").values())


def test_frames_may_be_taken_as_they_follow_each_other(project):
    ignored = rows(project, "fast", video__fps="ignore", video__window="middle")["a.mp4"]
    resampled = rows(project, "fast")["a.mp4"]

    assert (ignored.framerate, ignored.frames_at_rate, ignored.start_seconds * ignored.fps) == (0.0, 40, 15)
    assert (resampled.framerate, resampled.frames_at_rate) == (16.0, 20)
    assert rows(project, "fast", video__fps="ignore", video__min_frames=41, video__num_frames=41)[
        "a.mp4"
    ].reason.startswith("too short: 40 frames (1.25 s), min_frames is 41")


def test_a_clip_whose_frames_are_not_resampled_may_have_any_rate(project):
    overrides = ["data.framerate=100"]

    assert "R317" in [d.code for d in compiled(project, "fast", *overrides).found]
    assert "R317" not in [d.code for d in compiled(project, "fast", *overrides, video__fps="ignore").found]


@pytest.mark.parametrize("key", ["window=middle", "fps=ignore"])
def test_another_window_makes_another_plan(project, key):
    override = [f"data.datasets.0.video.{key}"]
    plans = [make_plan(compile_recipe(project, Options(overrides=some))) for some in ([], override)]
    stages = [{stage.id: stage.key for stage in plan.body.stages} for plan in plans]

    assert plans[0].plan_id != plans[1].plan_id
    assert stages[0]["encode-video"] != stages[1]["encode-video"]


@pytest.mark.parametrize(
    ("asked", "severities"),
    [("quarantine", ["warning"]), ("skip", []), ("error", ["error"]), ("delete", ["warning"])],
)
def test_clips_that_cannot_be_read_are_told_as_the_recipe_asks(project, asked, severities):
    done = compiled(project, "broken", f"data.on_problem={asked}")

    assert [d.severity for d in done.found if d.code == "R305"] == severities
    assert done.ok == (asked != "error")
    assert sum(row.fate == "quarantined" for row in done.survey.rows) == 2


def test_clips_that_cannot_be_read_may_be_skipped_without_a_warning(project):
    done = compiled(project, "broken", "data.on_problem=skip")

    assert sorted(row.fate for row in done.survey.rows) == ["quarantined", "quarantined", "trained", "trained"]
    assert "R305" not in [d.code for d in done.found]


@pytest.mark.parametrize(
    ("keys", "caption"),
    [
        ({"caption_strategy": "instanceprompt"}, "a film of"),
        ({"only_instance_prompt": "true"}, "a film of"),
        ({"only_instance_prompt": "true", "caption_strategy": "parquet"}, "a film of"),
        ({"prepend_instance_prompt": "true"}, "a film of a bar, number 0"),
        ({"prepend_instance_prompt": "true", "caption_strategy": "filename"}, "a film of c0"),
        ({"prepend_instance_prompt": "true", "caption_strategy": "instanceprompt"}, "a film of"),
    ],
)
def test_the_instance_prompt_stands_for_captions_or_before_them(project, keys, caption):
    done = compiled(project, "clips", **{"instance_prompt": "' a film of '", **keys})

    assert done.found == ()
    assert done.survey.rows[0].caption == caption


def test_a_file_name_of_signs_alone_is_no_caption(project):
    make_clip(project.parent / "signs" / "a.mp4", frames=9)
    make_clip(project.parent / "signs" / "_-_.mp4", frames=9)

    found = rows(project, "signs", caption_strategy="filename")

    assert (found["_-_.mp4"].fate, found["_-_.mp4"].reason) == ("missing-caption", "no caption")


@pytest.mark.parametrize("key", ["only_instance_prompt", "prepend_instance_prompt"])
def test_an_instance_prompt_that_is_asked_for_must_be_there(project, key):
    (found,) = compiled(project, "clips", **{key: "true"}).found

    assert (found.code, found.severity) == ("R311", "error")
    assert found.message == f"`{key}` needs an `instance_prompt`"


def test_a_prepended_prompt_is_no_caption_of_its_own(project):
    done = compiled(project, "uncaptioned", instance_prompt="a", prepend_instance_prompt="true")

    assert {row.path: row.fate for row in done.survey.rows} == {"a.mp4": "missing-caption", "b.mp4": "trained"}


def test_clips_of_the_same_caption_by_intent_are_not_repeated(project):
    keys = {"instance_prompt": "a bar", "only_instance_prompt": "true"}

    assert compiled(project, "repeated", **keys).found == ()
    assert compiled(project, "twins", **keys).found == ()


def test_a_small_clip_is_named_beside_the_resolution_that_enlarges_it(project):
    (found,) = [d for d in compiled(project, "shapes", resolution=256).found if d.code == "R316"]

    assert found.pointer == "data.datasets.0.resolution"
    assert "a smaller `resolution`" in found.help


def test_validation_is_compared_with_the_sizes_that_clips_have(project):
    def r601(*overrides, folder="shapes", **keys):
        return [d for d in compiled(project, folder, *overrides, **keys).found if d.code == "R601"]

    sized = {"resolution": 128, "aspect_bucket_alignment": 32}
    assert r601(**sized) == []
    sized = {**sized, "minimum_image_size": 96}
    (found,) = r601(**sized)
    assert found.message == "validation draws 160x96, a size that is not trained"
    assert found.help == "trained are 128x128, 192x96, 96x192"
    assert r601("validation.resolution=192x96", **sized) == []
    assert len(r601("validation.resolution=64x48", **sized)) == 1
    assert r601("validation.prompt=null", **sized) == []
    assert r601("validation.resolution=64x48") == []
    sized["minimum_image_size"] = 16
    both = "data.datasets+=[{id: y, instance_data_dir: clips, video: {num_frames: 9}}]"
    assert r601(both, **sized) == []
    assert r601(folder="nowhere", **sized) == []


@pytest.mark.parametrize(
    ("keys", "size"),
    [
        ({"resolution": 480}, "704x384"),
        ({"resolution": 480, "resolution_type": "pixel", "aspect_bucket_alignment": 32}, "864x480"),
        ({}, "96x64"),
    ],
)
def test_validation_draws_what_clips_of_the_usual_shape_are_trained_at(project, keys, size):
    others = "data.datasets+=[{id: y, disabled: true}, {id: z, dataset_type: text_embeds}]"

    assert compiled(project, "clips", others, **keys).settings["validation.resolution"] == size


def test_without_a_look_at_the_data_nothing_is_said_of_its_sizes(project):
    options = Options(overrides=["data.datasets.0.resolution=480"], look_at_data=False)

    assert [d.code for d in compile_recipe(project, options).found] == ["R321"]  # the recipe lists sizes as well


@pytest.mark.parametrize("folder", ["shapes", "lengths", "mixed", "broken", "uncaptioned", "repeated"])
@pytest.mark.parametrize(
    "keys",
    [
        {"max_num_samples": 1},
        {"minimum_image_size": 70, "maximum_aspect_ratio": 1.4, "max_num_samples": 2},
        {"resolution": 64, "aspect_bucket_alignment": 16, "video__min_frames": 1, "video__max_frames": 60},
        {"video__fps": "ignore", "video__window": "middle", "minimum_aspect_ratio": 1.2},
    ],
)
def test_every_file_has_one_fate_and_every_bucket_is_one_that_the_model_takes(project, folder, keys):
    done = compiled(project, folder, **keys)
    files = {path.name for path in (project.parent / folder).glob("*.mp4")}

    assert sorted(row.path for row in done.survey.rows) == sorted(files)
    assert all((row.fate == "trained") == (not row.reason) for row in done.survey.rows)
    assert sum(bucket.clips for bucket in done.survey.buckets) == len(done.survey.trained())
    for bucket in done.survey.buckets:
        assert (bucket.width % 16, bucket.height % 16, bucket.frames % 4) == (0, 0, 1)
