import pytest
from hypothesis import given, strategies as st

from fakes_clips import make_clip, make_project
from recipe_compiler.data.crop import cut, cut_shape
from recipe_compiler.data.geometry import fit
from recipe_compiler.pipeline import Options, compile_recipe


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    recipe = make_project(tmp_path_factory.mktemp("project"))
    for name, size in {"wide": (192, 64), "tall": (64, 128), "square": (96, 96)}.items():
        make_clip(recipe.parent / "shapes" / f"{name}.mp4", frames=12, size=size, caption=f"a {name} bar")
    return recipe


def look(project, keys):
    common = "id: x, instance_data_dir: shapes, video: {num_frames: 9}"
    return compile_recipe(project, Options(overrides=[f"data.datasets=[{{{common}, {keys}}}]"]))


def rows(project, keys):
    return {row.path.removesuffix(".mp4"): row for row in look(project, keys).survey.rows}


SIZED = "resolution: 96, aspect_bucket_alignment: 32, crop: true"


@pytest.mark.parametrize(
    ("keys", "buckets"),
    [
        ("", {"wide": "96x96", "tall": "96x96", "square": "96x96"}),
        ("crop_aspect: preserve", {"wide": "160x64", "tall": "64x128", "square": "96x96"}),
        (
            "crop_aspect: closest, crop_aspect_buckets: [1.0, 2.0]",
            {"wide": "128x64", "tall": "96x96", "square": "96x96"},
        ),
        ("crop_aspect: random, crop_aspect_buckets: [0.5]", {"wide": "64x128", "tall": "64x128", "square": "64x128"}),
    ],
)
def test_clips_are_cut_to_the_shape_that_is_asked_for(project, keys, buckets):
    found = rows(project, f"{SIZED}, {keys}")

    assert {name: row.bucket.removesuffix("@9") for name, row in found.items()} == buckets


def test_a_size_is_that_of_the_shape_that_is_cut_and_not_of_the_clip(project):
    wide = rows(project, SIZED)["wide"]

    assert (wide.resize_width, wide.resize_height, wide.crop_left, wide.crop_top) == (288, 96, 96, 0)


def test_random_shapes_belong_to_the_clip_and_all_of_them_come():
    values = {"d.crop": True, "d.crop_aspect": "random", "d.crop_aspect_buckets": (0.5, 1.0, 2.0)}

    drawn = [cut_shape(192, 64, values.__getitem__, "d", f"d/{index}.mp4") for index in range(300)]

    assert drawn == [cut_shape(64, 64, values.__getitem__, "d", f"d/{index}.mp4") for index in range(300)]
    assert all(70 < drawn.count((shape, 1.0)) < 130 for shape in values["d.crop_aspect_buckets"])


def test_the_upper_left_corner_is_kept(project):
    place = rows(project, f"{SIZED}, crop_style: corner")

    assert {(row.crop_left, row.crop_top) for row in place.values()} == {(0, 0)}


def test_a_clip_of_the_listed_sizes_is_cut_by_the_style_too(project):
    center, corner = (rows(project, f"crop_style: {style}")["wide"] for style in ("center", "corner"))

    assert (center.bucket, corner.bucket) == ("96x64@9", "96x64@9")
    assert (center.crop_left, corner.crop_left) == (48, 0)


@given(st.integers(16, 2000), st.integers(16, 2000), st.text(max_size=20))
def test_a_random_crop_lies_inside_and_is_the_same_each_time(width, height, clip):
    place = fit(width, height, [(96, 64), (64, 96)])

    cropped = cut(place, "random", clip)

    assert cropped == cut(place, "random", clip)
    assert 0 <= cropped.crop_left <= place.resize_width - place.width
    assert 0 <= cropped.crop_top <= place.resize_height - place.height
    assert (cropped.resize_width, cropped.resize_height) == (place.resize_width, place.resize_height)


def test_random_crops_reach_every_place():
    place = fit(100, 64, [(96, 64)])

    assert {cut(place, "random", f"{index}").crop_left for index in range(200)} == {0, 1, 2, 3, 4}


def test_validation_draws_the_shape_that_is_cut(project):
    settings = look(project, SIZED).settings

    assert settings["validation.resolution"] == "96x96"


@pytest.mark.parametrize(("aspect", "severity"), [("square", "error"), ("closest", "error"), ("preserve", "warning")])
def test_a_crop_without_a_resolution_is_one_finding(project, aspect, severity):
    (finding,) = look(project, f"crop: true, crop_aspect: {aspect}").found

    assert (finding.code, finding.severity, finding.pointer) == ("R324", severity, "data.datasets.0.crop")
    assert "clips go to the sizes of `data.buckets`" in finding.message
