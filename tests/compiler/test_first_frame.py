import os
import shutil

import pytest

from fakes_clips import make_clip, make_project
from fakes_masks import make_mask
from recipe_compiler.cli.main import main
from recipe_compiler.data.verify import verify
from recipe_compiler.passes.first_frame_cost import first_frame_memory
from recipe_compiler.pipeline import Options, compile_recipe, make_plan
from recipe_schema.family import load_family
from recipe_schema.planfile import read_plan


SET = "{{id: clips, instance_data_dir: {folder}, dataset_type: {type}, video: {{num_frames: 9, is_i2v: true, {more}}}}}"


def datasets(more="", *, folder="clips", kind="video", others=""):
    return f"data.datasets=[{SET.format(folder=folder, more=more, type=kind)}{others}]"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    recipe = make_project(tmp_path_factory.mktemp("template"))
    make_mask(recipe.parent / "wide.png", size=(192, 64))
    make_mask(recipe.parent / "tall.png", size=(96, 128))
    make_mask(recipe.parent / "small.png", size=(48, 32))
    make_mask(recipe.parent / "fits.png", size=(96, 64))
    (recipe.parent / "notes.txt").write_text("no picture", encoding="utf-8")
    (recipe.parent / "broken.png").write_bytes(b"no picture")
    return recipe.parent


@pytest.fixture
def project(template, tmp_path):
    return shutil.copytree(template, tmp_path / "project")


def compiled(folder, *overrides, data=None, look=True):
    options = Options(overrides=(data or datasets(), *overrides), must_run=True, look_at_data=look)
    return compile_recipe(folder / "recipe.yaml", options)


def brief(result):
    return [(d.code, d.severity, d.pointer.removeprefix("data.datasets.0.video.")) for d in result.found]


def images(**paths):
    return "validation.images={" + ", ".join(f"{name}: {path}" for name, path in paths.items()) + "}"


DRAWN = "validation.resolution=96x64"


# What is trained


def test_image_to_video_is_in_order_with_and_without_pictures(template):
    assert brief(compiled(template)) == []
    assert brief(compiled(template, images(main="fits.png"), DRAWN)) == []
    assert brief(compiled(template, images(main="clips/c1.mp4"), DRAWN)) == []
    assert brief(compiled(template, data=datasets("i2v_probability: 0.5, i2v_noise: 0.5"))) == []


@pytest.mark.parametrize("look", [True, False])
def test_samples_of_one_latent_frame_leave_nothing_to_learn(template, look):
    one = datasets().replace("num_frames: 9", "num_frames: 1")
    (found,) = [d for d in compiled(template, data=one, look=look).found if d.code == "R424"]

    assert (found.severity, found.pointer) == ("error", "data.datasets.0.video.num_frames")
    assert found.message == "samples of 1 frame are one latent frame, which is given: nothing is left to learn"
    assert found.help == "take at least 5 frames, or leave `is_i2v` out"
    assert "R424" not in [d.code for d in compiled(template, data=datasets().replace("9", "5"), look=look).found]
    never = one.replace("is_i2v: true,", "is_i2v: true, i2v_probability: 0")
    assert [d.code for d in compiled(template, data=never, look=look).found if d.code in ("R424", "R425")] == ["R425"]
    illegal = datasets().replace("num_frames: 9", "num_frames: 3")
    codes = {d.code for d in compiled(template, data=illegal, look=look).found}
    assert ("R308" in codes, "R424" in codes) == (True, False)


def test_short_clips_of_one_latent_frame_are_counted(project):
    make_clip(project / "clips" / "c9.mp4", frames=4, caption="a bar")

    (found,) = [d for d in compiled(project, data=datasets("min_frames: 1")).found if d.code == "R424"]

    assert found.pointer == "data.datasets.0.video.min_frames"
    assert "data set `clips` has 1 clip of which a sample is one latent frame" in found.message
    assert "`c9.mp4`" in found.message
    assert "R424" not in [d.code for d in compiled(project, data=datasets("min_frames: 5")).found]


def test_a_share_of_nothing_and_a_picture_of_noise_are_told(template):
    assert brief(compiled(template, data=datasets("i2v_probability: 0"))) == [("R425", "warning", "i2v_probability")]
    assert brief(compiled(template, data=datasets("i2v_noise: 0.51"))) == [("R426", "warning", "i2v_noise")]
    measured = datasets("i2v_probability: 0, i2v_noise: 0.9", folder="mixed", kind="eval").replace("clips,", "other,")
    trained = ", {id: clips, instance_data_dir: clips, video: {num_frames: 9}}"
    result = compiled(template, "evaluation.step_interval=5", data=measured[:-1] + trained + "]")
    assert {d.code for d in result.found}.isdisjoint({"R424", "R425", "R426"})


def test_its_settings_have_no_effect_without_it(template):
    off = datasets("i2v_probability: 0.5, i2v_noise: 0.1").replace("is_i2v: true", "is_i2v: false")

    assert brief(compiled(template, data=off)) == [
        ("R208", "warning", "i2v_probability"),
        ("R208", "warning", "i2v_noise"),
    ]


def test_clips_from_text_alone_are_told_where_nothing_trains_them(template):
    always = datasets("i2v_probability: 1")

    (found,) = compiled(template, data=always).found
    assert (found.code, found.severity, found.pointer) == ("R623", "warning", "data.datasets.0.video.i2v_probability")
    assert found.message.endswith("and clips are drawn from text alone: `main`")
    assert brief(compiled(template, images(main="fits.png"), DRAWN, data=always)) == []
    library = "validation.prompt_library={a: a, b: b, c: c, d: d}"
    several = compiled(template, images(a="fits.png"), library, DRAWN, data=always)
    (many,) = [d for d in several.found if d.code == "R623"]
    assert many.message.endswith("from text alone: `main`, `b`, `c` and 1 more")
    assert [note.text for note in many.notes] == ["the pictures"]
    beside = datasets("i2v_probability: 1", others=", {id: b, instance_data_dir: mixed, video: {num_frames: 9}}")
    assert "R623" not in [d.code for d in compiled(template, data=beside).found]


# The pictures


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("nowhere.png", "does not exist"),
        ("clips", "is a folder"),
        ("notes.txt", "ends in `.txt`, and is known neither as a picture nor as a video"),
        ("broken.png", "is no readable picture (it begins like no JPEG, PNG or WebP file)"),
        ("broken/empty.mp4", "is empty"),
    ],
)
def test_a_picture_that_cannot_be_read_is_an_error_at_its_place(template, path, problem):
    (found,) = compiled(template, images(main=path), DRAWN).found

    assert (found.code, found.severity, found.pointer) == ("R621", "error", "validation.images.main")
    assert found.message == f"the first frame of prompt `main`, `{path}`, {problem}"


def test_a_picture_without_a_prompt_is_not_looked_for(template):
    result = compiled(template, images(man="nowhere.png"), DRAWN)

    assert brief(result) == [("R617", "error", "validation.images.man")]
    assert brief(compiled(template, "validation.images={main: ''}")) == [("R621", "error", "validation.images.main")]


def test_a_picture_that_is_enlarged_or_loses_much_is_told_with_numbers(template):
    told = {}
    for name in ("wide.png", "tall.png", "small.png"):
        (found,) = compiled(template, images(main=name), DRAWN).found
        assert (found.code, found.severity, found.pointer) == ("R622", "warning", "validation.images.main")
        told[name] = found.message.partition(", and ")[2]

    assert told == {
        "wide.png": "loses 50% at left and right to be 96x64",
        "tall.png": "loses 50% at top and bottom to be 96x64",
        "small.png": "is enlarged 2 times to be 96x64",
    }
    both = compiled(template, images(main="small.png"), "validation.resolution=96x32").found
    assert "is enlarged 2 times and loses 50% at top and bottom" in next(d.message for d in both if d.code == "R622")
    whole = compiled(template, images(main="wide.png"), "validation.resolution=192x64").found
    assert "R622" not in [d.code for d in whole]
    default = compiled(template, images(main="small.png")).found
    assert [note.text for d in default if d.code == "R622" for note in d.notes] == []


def test_a_clip_that_is_its_picture_is_refused(template):
    frames = "validation.num_video_frames=%d"

    (found,) = [
        d for d in compiled(template, images(main="fits.png"), DRAWN, frames % 1).found if d.severity == "error"
    ]
    assert (found.code, found.pointer) == ("R624", "validation.num_video_frames")
    assert found.message == "a clip of 1 frame is the picture that it starts from: nothing is drawn"
    others = [compiled(template, images(main="fits.png"), DRAWN, frames % count).found for count in (3, 5)]
    assert "R624" not in [d.code for found in others for d in found]
    assert "R624" not in [d.code for d in compiled(template, frames % 1).found]


def test_pictures_are_not_looked_at_where_their_size_is_wrong(template):
    result = compiled(template, images(main="nowhere.png"), "validation.resolution=big")

    assert {d.code for d in result.found} == {"R106"}


# The plan


def test_the_plan_says_how_a_picture_is_cut(project):
    result = compiled(project, images(main="tall.png"), DRAWN, "validation.prompt_library={plain: a bar}")
    plan = make_plan(result)

    first, plain = plan.execution.prompts
    assert plain.image is None
    image = first.image
    assert (image.path, image.size_bytes) == ("tall.png", (project / "tall.png").stat().st_size)
    assert (image.resize_width, image.resize_height, image.crop_left, image.crop_top) == (96, 128, 0, 32)
    assert (image.bucket_width, image.bucket_height, len(image.sha256)) == (96, 64, 64)
    without = make_plan(compiled(project, DRAWN))
    assert plan.plan_id == without.plan_id  # what is drawn shapes no weights


def test_a_picture_that_changed_is_noticed(project, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(project / "cache"))
    overrides = ["--set", datasets(), "--set", images(main="fits.png"), "--set", DRAWN]
    assert main(["plan", str(project / "recipe.yaml"), "-o", str(project / "x.plan"), *overrides]) == 0
    assert read_plan(project / "x.plan").execution.prompts[0].image.path == "fits.png"
    assert verify(project / "x.plan").found == ()

    changed = bytearray((project / "fits.png").read_bytes())
    changed[-1] ^= 1
    stat = (project / "fits.png").stat()
    (project / "fits.png").write_bytes(bytes(changed))
    os.utime(project / "fits.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))

    (found,) = verify(project / "x.plan").found
    assert "the first frame of prompt `main` has other content" in found.message


def test_both_settings_shape_the_weights(template):
    ids = [make_plan(compiled(template, data=datasets(more))).plan_id for more in ("", "i2v_probability: 0.5")]

    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("changes", "megabytes"),
    [({}, 2.7), ({"memory.gradient_checkpointing": False}, 29.9), ({"train.batch_size": 2}, 5.4)],
)
def test_a_timestep_for_each_frame_costs_next_to_nothing(template, changes, megabytes):
    values = {**compiled(template).settings.values(), **changes}
    config = load_family("sana-video-480p").raw["transformer"]

    assert first_frame_memory(values, config, 21) / 1e6 == pytest.approx(megabytes, rel=0.02)
    for key, value in (("is_i2v", False), ("i2v_probability", 0)):
        assert first_frame_memory({**values, f"data.datasets.0.video.{key}": value}, config, 21) == 0


def test_the_estimate_has_a_part_for_it(template):
    parts = [
        make_plan(compiled(template, data=data)).meta["estimate"]["memory_parts_gb"]
        for data in (None, datasets("i2v_probability: 0"))
    ]

    assert ["first frame" in part for part in parts] == [True, False]
