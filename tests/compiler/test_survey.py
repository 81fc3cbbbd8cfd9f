import os
import shutil
import sys
import time

import av
import pytest
from hypothesis import given, settings, strategies as st

from fakes_clips import make_clip, make_project
from recipe_compiler.data.geometry import fit, frames_at, parse_size
from recipe_compiler.data.index import ProbeIndex
from recipe_compiler.data.probe import probe
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_schema.family import load_family


FAMILY = load_family("sana-video-480p")
SIZES = [parse_size(size) for size in FAMILY.default("buckets")]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


def rows(project, folder, **video):
    keys = ", ".join(f"{key}: {value}" for key, value in {"num_frames": 9, **video}.items())
    override = f"data.datasets=[{{id: x, instance_data_dir: {folder}, video: {{{keys}}}}}]"
    compiled = compile_recipe(project, Options(overrides=[override]))
    assert compiled.survey is not None
    return {row.path: row for row in compiled.survey.rows}


def test_a_clip_is_probed_by_its_packets(tmp_path):
    facts = probe(make_clip(tmp_path / "a.mp4", frames=25, size=(128, 64), fps=25))

    assert (facts.problem, facts.width, facts.height, facts.frames, facts.codec) == ("", 128, 64, 25, "h264")
    assert facts.fps == pytest.approx(25)
    assert facts.seconds == pytest.approx(1)
    assert len(facts.sha256) == 64


def test_what_is_no_video_is_a_fact_and_no_exception(tmp_path):
    good = make_clip(tmp_path / "good.mp4").read_bytes()
    cases = {"empty": b"", "text": b"hello", "cut": good[:300], "list": b"ffconcat version 1.0\nfile good.mp4\n"}
    for name, content in cases.items():
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(content)
        assert probe(path).problem, name


def test_every_file_has_a_fate_and_every_clip_left_out_a_reason(project):
    found = rows(project, "broken")

    assert {path: row.fate for path, row in found.items()} == {
        "a.mp4": "trained",
        "b.mp4": "trained",
        "cut.mp4": "quarantined",
        "empty.mp4": "quarantined",
    }
    assert all(row.reason for row in found.values() if row.fate != "trained")


def test_short_and_long_clips_are_left_out_with_numbers(project):
    found = rows(project, "mixed", max_frames=84)

    assert found["short.mp4"].reason == "too short: 6 frames at 16 fps (0.38 s), min_frames is 9"
    assert found["longer.mp4"].reason == "too long: 90 frames at 16 fps (5.62 s), max_frames is 84"


def test_a_smaller_min_frames_admits_shorter_clips_into_a_bucket_of_their_own(project):
    found = rows(project, "mixed", min_frames=1)

    assert found["short.mp4"].fate == "trained"
    assert found["short.mp4"].bucket == "96x64@5"
    assert found["long.mp4"].bucket == "96x64@9"


def test_text_is_the_caption_with_the_motion_score(project):
    row = rows(project, "clips")["c0.mp4"]

    assert (row.caption, row.text) == ("a bar, number 0", "a bar, number 0 motion score: 30.")


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        ((1920, 1080), (832, 480)),
        ((1280, 720), (832, 480)),
        ((832, 480), (832, 480)),
        ((1280, 960), (720, 560)),
        ((1000, 1000), (624, 624)),
        ((1080, 1920), (480, 832)),
        ((640, 272), (896, 448)),
    ],
)
def test_clips_go_to_the_official_size_of_nearest_shape(size, bucket):
    place = fit(*size, SIZES)

    assert (place.width, place.height) == bucket


@settings(deadline=None)
@given(st.integers(16, 4096), st.integers(16, 4096))
def test_a_resized_frame_covers_its_bucket_and_the_crop_lies_inside(width, height):
    place = fit(width, height, SIZES)

    assert place.resize_width >= place.width
    assert place.resize_height >= place.height
    assert 0 <= place.crop_left <= place.resize_width - place.width
    assert 0 <= place.crop_top <= place.resize_height - place.height
    assert place.resize_width == place.width or place.resize_height == place.height


@pytest.mark.parametrize(
    ("frames", "fps", "count"),
    # 15 frames of NTSC end half a millisecond after the eighth sample: a ninth would lie beyond what is shown.
    [
        (81, 16, 81),
        (132, 25, 85),
        (30, 30, 16),
        (1, 25, 1),
        (48, 24, 32),
        (150, 30000 / 1001, 81),
        (15, 30000 / 1001, 8),
    ],
)
def test_frames_at_another_rate_are_those_on_the_screen(frames, fps, count):
    assert frames_at(frames / fps, 16) == count


def test_a_second_look_at_unchanged_files_opens_none_of_them(tmp_path, monkeypatch):
    clip = make_clip(tmp_path / "a.mp4")
    index_file = tmp_path / "cache" / "probes.sqlite"
    with ProbeIndex(index_file) as index:
        first = index.probe_all([clip], lambda *_: None)
    monkeypatch.setattr("recipe_compiler.data.index.probe_each", list)
    with ProbeIndex(index_file) as index:
        assert index.probe_all([clip], lambda *_: None) == first


def test_a_changed_file_is_looked_at_again(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=20)
    with ProbeIndex(None) as index:
        before = index.probe_all([clip], lambda *_: None)[clip]
        time.sleep(0.01)
        make_clip(clip, frames=30)
        after = index.probe_all([clip], lambda *_: None)[clip]

    assert (before.frames, after.frames) == (20, 30)


def test_an_index_that_cannot_be_written_costs_speed_and_nothing_else(tmp_path):
    clip = make_clip(tmp_path / "a.mp4")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with ProbeIndex(tmp_path / "file" / "probes.sqlite") as index:
        assert index.probe_all([clip], lambda *_: None)[clip].problem == ""


def test_links_are_followed_and_one_that_leads_nowhere_is_listed(project):
    home = project.parent / "linked"
    make_clip(project.parent / "elsewhere" / "there.mp4", caption="a bar")
    make_clip(home / "here.mp4", caption="a bar")
    (home / "folder").symlink_to(project.parent / "elsewhere")
    (home / "circle").symlink_to(home)
    (home / "nowhere.mp4").symlink_to("gone.mp4")

    found = rows(project, "linked")

    assert {path: row.fate for path, row in found.items()} == {
        "folder/there.mp4": "trained",
        "here.mp4": "trained",
        "nowhere.mp4": "quarantined",
    }
    assert found["nowhere.mp4"].reason == "can't be read: No such file or directory"


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are always UTF-8")
def test_a_name_that_is_no_text_is_quarantined(project):
    make_clip(project.parent / "named" / "a.mp4", caption="a bar")
    shutil.copy(project.parent / "named" / "a.mp4", os.fsencode(project.parent / "named") + b"/b\xff.mp4")

    found = rows(project, "named")

    assert {path: row.fate for path, row in found.items()} == {"a.mp4": "trained", "b\\xff.mp4": "quarantined"}
    assert found["b\\xff.mp4"].reason == "has a path that is not UTF-8; rename it"


def test_what_comes_before_the_first_frame_that_decodes_does_not_count(tmp_path):
    whole, cut = make_clip(tmp_path / "whole.mp4", frames=60, gop=10), tmp_path / "cut.mp4"
    with av.open(str(whole)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(source.streams.video[0]) if packet.dts is not None]
        for packet in packets[13:]:
            packet.stream = stream
            target.mux(packet)

    facts = probe(cut)

    assert (facts.problem, facts.frames, facts.seconds) == ("", 40, pytest.approx(2.5))


def test_a_caption_may_be_the_name_of_the_file(project):
    override = "data.datasets=[{id: x, instance_data_dir: clips, caption_strategy: filename, video: {num_frames: 9}}]"
    (project.parent / "clips" / "a_red-bar  moves.mp4").symlink_to("c0.mp4")

    compiled = compile_recipe(project, Options(overrides=[override]))

    (project.parent / "clips" / "a_red-bar  moves.mp4").unlink()
    assert [row.caption for row in compiled.survey.rows] == ["a red bar moves", "c0", "c1", "c2", "c3"]


def test_a_caption_that_is_no_text_is_missing_and_says_why(project):
    make_clip(project.parent / "said" / "a.mp4").with_suffix(".txt").write_bytes(b"caf\xe9")

    row = rows(project, "said")["a.mp4"]

    assert row.fate == "missing-caption"
    assert row.reason == "`a.txt` is not UTF-8: byte 4 is no part of it; save it anew"


def test_a_caption_that_is_a_folder_is_missing_and_says_why(project):
    make_clip(project.parent / "foldered" / "a.mp4").with_suffix(".txt").mkdir()

    row = rows(project, "foldered")["a.mp4"]

    assert (row.fate, row.reason) == ("missing-caption", "`a.txt` can't be read: Is a directory")


def test_nobody_misses_the_folder_of_a_disabled_data_set(project):
    override = (
        "data.datasets=[{id: x, instance_data_dir: nowhere, disabled: true}, "
        "{id: y, instance_data_dir: clips, video: {num_frames: 9}}]"
    )

    compiled = compile_recipe(project, Options(overrides=[override]))

    assert compiled.found == ()
    assert (compiled.survey.missing, len(compiled.survey.rows)) == ({}, 4)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [("{id: x, instance_data_dir: mixed, repeats: many}", "R102"), ("{{ vars.mixed }}", "R004")],
)
def test_a_data_set_with_a_mistake_is_not_looked_at_and_the_others_are(wrong, code, project):
    override = f"data.datasets=[{wrong}, {{id: y, instance_data_dir: clips, video: {{num_frames: 9}}}}]"

    compiled = compile_recipe(project, Options(overrides=[override]))

    assert [d.code for d in compiled.found] == [code]
    assert compiled.survey.looked == ("data.datasets.1",)
