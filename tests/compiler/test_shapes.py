import sys
from itertools import combinations
from pathlib import Path

import av
import numpy as np
import pytest

from recipe_compiler.fetch.errors import FetchError
from recipe_compiler.fetch.fetch import fetch_source
from recipe_compiler.fetch.shapes import NEW_SHAPE, SHAPES, coverage, draw, scenes


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from judge import judge


ATTRIBUTES = ("shape", "color", "direction", "background")
HELD_OUT = list(scenes(held_out=True, shapes=(*SHAPES, NEW_SHAPE)))


def test_scenes_that_are_held_out_are_no_others_and_hold_every_attribute_out_evenly():
    trained, kept = list(scenes(held_out=False)), list(scenes(held_out=True))

    assert (len(trained), len(kept), len({*trained, *kept})) == (320, 64, 384)
    for name in ATTRIBUTES:
        of_each = [sum(getattr(scene, name) == value for scene in kept) for value in {getattr(s, name) for s in kept}]
        assert min(of_each) >= 9
    for pair in combinations(ATTRIBUTES, 2):
        seen = [tuple(getattr(scene, name) for name in pair) for scene in trained]
        assert min(seen.count(both) for both in {tuple(getattr(s, n) for n in pair) for s in kept}) >= 12


def test_a_caption_names_all_that_a_clip_shows():
    scene = HELD_OUT[0]

    assert len(set(scene.captions())) == 4
    for caption in scene.captions():
        assert all(getattr(scene, name) in caption for name in ATTRIBUTES)


def test_a_clip_is_the_same_each_time_and_another_take_is_not():
    scene = HELD_OUT[5]

    assert np.array_equal(draw(scene, 3), draw(scene, 3))
    assert not np.array_equal(draw(scene, 3), draw(scene, 4))
    assert draw(scene, 3).shape == (9, 64, 64, 3)


def test_a_shape_covers_its_area_to_a_hundredth():
    areas = {name: coverage(name, 32.0, 32.0, 20.0).sum() / 400 for name in (*SHAPES, NEW_SHAPE)}

    expected = {
        "circle": np.pi,
        "square": 1.8**2,
        "triangle": 2.0,
        "ring": (1 - 0.6**2) * np.pi,
        "bar": 2 * 0.84,
    }
    assert areas == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("noise", [0, 12])
def test_the_judge_sees_what_is_drawn_even_through_noise(noise):
    for take, scene in enumerate(HELD_OUT):
        clip = draw(scene, take) + np.random.default_rng(take).normal(0, noise, (9, 64, 64, 3))

        seen = judge(np.clip(clip, 0, 255).astype(np.uint8))

        assert {name: getattr(seen, name) for name in ATTRIBUTES} == {name: getattr(scene, name) for name in ATTRIBUTES}


def test_the_judge_sees_nothing_where_nothing_is():
    seen = judge(np.full((9, 64, 64, 3), 240, np.uint8))

    assert (seen.shape, seen.color, seen.direction, seen.background) == (None, None, None, "white")


def test_the_judge_looks_at_the_way_from_the_first_frame_to_the_last():
    clip = draw(next(scene for scene in HELD_OUT if scene.direction == "up"), 0)

    assert (judge(clip).direction, judge(clip[::-1]).direction) == ("up", "down")
    assert judge(clip.transpose(0, 2, 1, 3)).direction == "left"


def test_bars_have_a_folder_of_their_own(tmp_path):
    fetch_source("builtin:bars", tmp_path / "clips", lambda _: None)

    assert {path.stem.split("-")[1] for path in (tmp_path / "clips").glob("*.mp4")} == {"bar"}
    assert len(list((tmp_path / "clips").glob("*.mp4"))) == 80


def test_the_folder_holds_a_clip_of_each_scene_as_the_judge_sees_it(tmp_path):
    said = []
    fetch_source("builtin:shapes", tmp_path / "clips", said.append)

    trained = list(scenes(held_out=False))
    assert said == ["drew 320 clips of moving shapes, each with its captions"]
    assert len(list((tmp_path / "clips").glob("*.mp4"))) == len(trained)
    for scene in trained[::40]:
        text = (tmp_path / "clips" / f"{scene.name}.txt").read_text(encoding="utf-8")
        assert tuple(text.splitlines()) == scene.captions()
        with av.open(str(tmp_path / "clips" / f"{scene.name}.mp4")) as file:
            clip = np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])
        assert judge(clip).shape == scene.shape
    fetch_source("builtin:shapes", tmp_path / "clips", said.append)
    assert said[1:] == [f"{tmp_path / 'clips'} already holds builtin:shapes"]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.mp4").write_bytes(b"mine")

    with pytest.raises(FetchError, match="was not made by `recipe fetch`"):
        fetch_source("builtin:shapes", tmp_path, lambda _: None)

    assert [path.name for path in tmp_path.iterdir()] == ["mine.mp4"]
