"""Images as clips of one frame: what the survey finds, and what follows."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakes_clips import make_clip
from recipe_compiler.cli.main import main
from recipe_compiler.data.probe import VIDEO_SUFFIXES, probe, suffixes
from recipe_compiler.fetch.hub_rows import _suffix
from recipe_compiler.passes.lower import lower
from recipe_compiler.pipeline import Options, compile_recipe


def picture(path: Path, *, size=(96, 64), mode="RGB", turned=1, **options) -> Path:
    """Write a gradient."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.linspace(0, 255, size[0] * size[1] * 3).reshape(size[1], size[0], 3)
    exif = Image.Exif()
    exif[274] = turned
    Image.fromarray(rows.astype(np.uint8)).convert(mode).save(path, exif=exif, **options)
    return path


@pytest.fixture
def recipe(tmp_path):
    """Return what writes a recipe of a data set of images with these lines, and perhaps one of clips."""

    def write(*lines: str, clips: bool = False, rest: str = "") -> Path:
        more = ""
        if clips:
            make_clip(tmp_path / "clips" / "a.mp4", frames=12, caption="a bar")
            make_clip(tmp_path / "clips" / "b.mp4", frames=13, caption="a bar again")
            more = "    - {id: clips, instance_data_dir: clips, video: {num_frames: 9}}\n"
        keys = "".join(f"      {line}\n" for line in lines)
        path = tmp_path / "recipe.yaml"
        path.write_text(
            "recipe: 1\nname: r\nmodel: {random_weights: tiny, pretrained_model_name_or_path: tiny}\n"
            "data:\n  buckets: [96x64, 64x96]\n  datasets:\n"
            f"    - id: photos\n      dataset_type: image\n      instance_data_dir: photos\n{keys}{more}"
            f"train: {{max_steps: 5}}\n{rest}",
            encoding="utf-8",
        )
        return path

    return write


def looked(path, *overrides):
    return compile_recipe(path, Options(overrides=overrides, must_run=True))


def codes(path, *overrides):
    return [f"{d.code} {d.severity[0]} {d.pointer.rpartition('.')[2]}" for d in looked(path, *overrides).found]


@pytest.mark.parametrize("ending", ["jpg", "jpeg", "png", "webp"])
@pytest.mark.parametrize("turned", [1, 3, 6, 7])
def test_pictures_have_the_size_that_is_shown(tmp_path, ending, turned):
    facts = probe(picture(tmp_path / f"a.{ending}", turned=turned))

    sides = (64, 96) if turned in (6, 7) else (96, 64)
    assert (facts.problem, facts.width, facts.height, facts.frames) == ("", *sides, 1)
    assert (facts.fps, facts.seconds) == (0, 0)


@pytest.mark.parametrize(
    ("ending", "options"),
    [("jpg", {"mode": "CMYK"}), ("jpg", {"mode": "L"}), ("png", {"mode": "P"}), ("png", {"mode": "RGBA"})],
)
def test_pictures_of_any_colors_are_taken(tmp_path, ending, options):
    assert probe(picture(tmp_path / f"a.{ending}", **options)).problem == ""


def cut(content: bytes, share: float) -> bytes:
    return content[: int(len(content) * share)]


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_pictures_that_end_too_early_are_left_out(tmp_path, ending, share):
    path = picture(tmp_path / f"a.{ending}", size=(320, 240))
    path.write_bytes(cut(path.read_bytes(), share))

    assert probe(path).problem.startswith("is no readable picture")


def test_a_progressive_picture_that_ends_too_early_is_left_out(tmp_path):
    path = picture(tmp_path / "a.jpg", size=(320, 240), progressive=True)
    path.write_bytes(path.read_bytes()[:-2])

    assert probe(path).problem == "is no readable picture (it ends too early)"


@pytest.mark.parametrize(("ending", "taken"), [("png", True), ("webp", False)])
def test_of_moving_pictures_the_first_is_taken_where_it_can_be_read(tmp_path, ending, taken):
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:])

    assert (probe(tmp_path / f"a.{ending}").problem == "") == taken


@pytest.mark.parametrize("content", [b"GIF89a", b"\xff\xd8 nothing", b"RIFF\0\0\0\0WEBPVP8 "])
def test_what_is_no_picture_is_left_out(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)

    assert probe(path).problem.startswith("is no readable picture")


def test_images_are_clips_of_one_frame_with_captions_of_their_own(tmp_path, recipe):
    picture(tmp_path / "photos/wide.jpg").with_suffix(".txt").write_text("a wide one")
    picture(tmp_path / "photos/sub/tall.png", turned=1, size=(64, 96)).with_suffix(".txt").write_text("a tall one")
    make_clip(tmp_path / "photos/film.mp4")
    picture(tmp_path / "photos/silent.webp")

    survey = looked(recipe("resolution: 64", "aspect_bucket_alignment: 32"), "data.on_missing_caption=skip").survey

    rows = {row.path: row for row in survey.rows}
    assert {path: row.fate for path, row in rows.items()} == {
        "silent.webp": "missing-caption",
        "sub/tall.png": "trained",
        "wide.jpg": "trained",
    }
    wide = rows["wide.jpg"]
    assert (wide.bucket, wide.framerate, wide.start_seconds, wide.frames_at_rate) == ("64x64@1", 0, 0, 1)
    assert wide.text == "a wide one", "no motion score: nothing moves"


def test_a_data_set_without_pictures_is_told(tmp_path, recipe):
    make_clip(tmp_path / "photos/film.mp4")

    (found,) = looked(recipe()).found

    assert (found.code, found.message) == ("R302", "data set `photos` holds no picture")
    assert "images end in .jpg, .jpeg, .png or .webp" in found.help


def photos(tmp_path, count=3):
    for index in range(count):
        picture(tmp_path / f"photos/p{index}.png", size=(96 + index, 64)).with_suffix(".txt").write_text(f"p {index}")


def test_lengths_of_clips_leave_no_image_out(tmp_path, recipe):
    photos(tmp_path)

    assert codes(recipe("video: {min_frames: 17, max_frames: 6, num_frames: 10}")) == ["R342 w num_frames"]


def test_one_setting_of_video_is_named_in_the_singular(tmp_path, recipe):
    photos(tmp_path)

    (found,) = looked(recipe("video: {fps: ignore}")).found

    assert found.message == "data set `photos` is of images, and `video.fps` does nothing there"
    assert found.help == "leave it out"


@pytest.mark.parametrize(
    ("clips", "lines", "change", "expected"),
    [
        (True, (), "data.image_interval=2", []),
        (True, (), "data.image_interval=1", ["R343 e image_interval"]),
        (False, (), "data.image_interval=null", []),
        (False, (), "data.image_interval=2", ["R343 w image_interval"]),
        (True, ("disabled: true",), "data.image_interval=2", ["R343 e image_interval"]),
        (True, ("disabled: true",), "data.datasets.1.video.num_frames=1", []),
    ],
)
def test_an_interval_needs_images_and_videos(tmp_path, recipe, clips, lines, change, expected):
    photos(tmp_path)

    assert codes(recipe(*lines, clips=clips), change) == expected


def test_clips_of_one_frame_count_as_images(tmp_path, recipe):
    photos(tmp_path)

    path = recipe("disabled: true", clips=True)

    assert codes(path, "data.datasets.1.video.num_frames=1", "data.image_interval=2") == ["R343 w image_interval"]


def test_images_can_be_fetched_like_clips(tmp_path, recipe):
    photos(tmp_path, 2)
    (tmp_path / "photos").rename(tmp_path / "mine")
    (tmp_path / "list.csv").write_text("url,caption\nmine/p0.png,one\nmine/p1.png,two\n", encoding="utf-8")
    path = recipe("type: csv", "csv_file: list.csv", "caption_strategy: csv")
    path.write_text(path.read_text().replace("      instance_data_dir: photos\n", ""), encoding="utf-8")

    assert main(["fetch", str(path)]) == 0

    assert [(row.path, row.caption) for row in looked(path).survey.rows] == [("p0.png", "one"), ("p1.png", "two")]


def test_a_table_of_images_names_pictures(tmp_path, recipe):
    (tmp_path / "list.csv").write_text("url,caption\nmine/a.mp4,one\n", encoding="utf-8")
    path = recipe("type: csv", "csv_file: list.csv", "caption_strategy: csv")

    assert any("which is no picture by its ending" in found.message for found in looked(path).found)


def test_the_plan_and_the_figures_know_images(tmp_path, recipe, capsys):
    photos(tmp_path)
    path = recipe("train_batch_size: 3", clips=True)

    assert main(["explain", str(path), "--set", "data.image_interval=2"]) == 0
    told = capsys.readouterr().out

    assert "96x64@1/3" in told
    assert "data sets  after every 2 steps, one of images" in told
    assert "in the mean: batches of 1 or 3 × 1 accumulated" in told
    assert main(["explain", str(path), "--clip", "photos/p1.png", "--set", "data.image_interval=2"]) == 0
    told = capsys.readouterr().out
    assert "file     97x64, png" in told
    assert "seen once a pass of the images" in told
    assert "window" not in told
    assert main(["explain", str(path), "--clip", "photos/p1.png"]) == 0
    assert "seen once an epoch" in capsys.readouterr().out
    assert main(["explain", str(path), "--format", "json"]) == 0
    buckets = json.loads(capsys.readouterr().out)["buckets"]
    assert [(b["name"], b["batch_size"]) for b in buckets] == [("96x64@1/3", 3), ("96x64@9", None)]
    assert main(["explain", str(path), "--format", "html"]) == 0
    assert "1 or 3 × 1" in capsys.readouterr().out


def test_a_mask_of_an_image_lies_beside_it(tmp_path, recipe):
    photos(tmp_path)
    for index in range(3):
        picture(tmp_path / f"masks/p{index}.png", size=(96 + index, 64))
    path = recipe("conditioning_data: masks", rest="regularizers: {masked_loss: {enabled: true}}\n")
    masks = "    - {id: masks, dataset_type: conditioning, conditioning_type: mask, instance_data_dir: masks}\n"
    path.write_text(path.read_text().replace("train:", f"{masks}train:"), encoding="utf-8")

    compiled = looked(path)

    assert compiled.ok, compiled.found
    assert [row.mask_path for row in compiled.survey.trained()] == ["p0.png", "p1.png", "p2.png"]


def test_part_of_the_images_can_be_set_apart(tmp_path, recipe):
    photos(tmp_path, 9)

    rows = looked(recipe(rest="evaluation: {fraction: 0.5, step_interval: 2}\n")).survey.rows

    assert {row.fate for row in rows} == {"trained", "evaluated"}


def test_a_folder_that_is_named_like_a_picture_is_told(recipe):
    (found,) = (d for d in looked(recipe(), "data.datasets.0.instance_data_dir=photos/a.jpg").found if d.code == "R333")

    assert "is named like a picture" in found.message


def test_the_longest_of_images_is_one_frame(tmp_path, recipe):
    photos(tmp_path)
    asks = "validation: {prompt: a, resolution: 96x64, num_video_frames: 9}\n"

    (found,) = (d for d in looked(recipe(rest=asks)).found if d.code == "R601")

    assert found.help == "trained is 1 frame"
    assert not any(d.code == "R601" for d in looked(recipe(rest=asks), "validation.num_video_frames=1").found)


def test_lower_counts_images_beside_videos(tmp_path, recipe):
    photos(tmp_path)
    compiled = looked(
        recipe("repeats: 1", clips=True), "data.image_interval=4", "train.max_steps=null", "train.num_epochs=8"
    )

    body = lower(compiled.settings, compiled.survey)

    # 2 clips × 8 epochs are 16 steps; after steps 4, 8, 12, 16, 20 one of images comes
    assert body.schedule.max_steps == 16 + 4
    assert body.schedule.samples_per_epoch == 2.5
    assert {b.name: b.samples for b in body.buckets} == {"96x64@1": 0.5, "96x64@9": 2}


def test_a_file_without_a_name_is_called_by_its_first_bytes():
    def written(kind):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, kind)
        return file.getvalue()

    endings = suffixes("image")
    assert [_suffix(written(k), endings) for k in ("JPEG", "PNG", "WEBP")] == [".jpg", ".png", ".webp"]
    assert _suffix(b"", endings) == ".jpg"
    assert _suffix(b"", VIDEO_SUFFIXES) == ".mp4"
