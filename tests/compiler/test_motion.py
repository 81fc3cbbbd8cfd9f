"""Motion scores of clips: for all, from tables, and measured."""

import io
import json
import sqlite3
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from fakes_clips import make_clip, make_project
from fakes_machine import machine
from recipe_compiler.cli import findings
from recipe_compiler.cli.main import main
from recipe_compiler.data import flow, index as indexes, motion, worker
from recipe_compiler.data.flow import FlowError, Window, motion_of
from recipe_compiler.data.index import ProbeIndex
from recipe_compiler.data.motion import Wish
from recipe_compiler.pipeline import Options, compile_recipe, make_plan


WITH_OPENCV = machine(packages={"opencv-python": "4.14"})


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


def compiled(project, *more, folder="clips", index_file=None, on=WITH_OPENCV, **keys):
    motion_keys = ", ".join(f"{key}: {value}" for key, value in keys.items())
    first = f"{{id: x, instance_data_dir: {folder}, video: {{num_frames: 9}}, motion: {{{motion_keys}}}}}"
    overrides = [f"data.datasets=[{first}]", *more]
    return compile_recipe(project, Options(overrides=overrides, index_file=index_file, machine=on))


def ends(done):
    """Return what each trained clip's text ends with, behind its caption."""
    return {row.path: row.text.removeprefix(row.caption) for row in done.survey.rows if row.used}


def draw(path, *, shift, frames=33, size=(576, 320), fps=16):
    """Write a clip of soft noise that moves to the left by so many pixels a frame."""
    width, height = size
    noise = np.random.default_rng(0).random((height, width + int(shift * frames) + 1)).astype(np.float32)
    ground = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "12"}
        for index in range(frames):
            left = int(index * shift)
            image = np.repeat(ground[:, left : left + width, None], 3, 2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode())
    return path


def window(**changes):
    return Window(**{"begin": 0.0, "spacing": 1 / 16, "frames": 33, "framerate": 16.0, **changes})


# Tables


def test_scores_of_a_file_are_cut_off_at_the_point_as_the_authors_do(project):
    assert ends(compiled(project, source="file", path="motion.csv")) == {
        f"c{index}.mp4": f" motion score: {index}." for index in range(4)
    }


def test_scores_may_be_a_column_of_the_table_of_captions(project):
    rows = ["filename,caption,moves", *(f"c{index}.mp4,row {index},{10 * index}" for index in (2, 0, 3, 1))]
    (project.parent / "both.csv").write_text("\n".join(rows))
    strategy = ("data.datasets.0.caption_strategy=parquet", "data.datasets.0.parquet.path=both.csv")

    done = compiled(project, *strategy, source="column", score_column="moves")

    assert done.found == ()
    assert {row.path: row.text for row in done.survey.rows} == {
        f"c{index}.mp4": f"row {index} motion score: {10 * index}." for index in range(4)
    }


def test_one_changed_score_changes_the_text_of_one_clip(project):
    table = project.parent / "changing.csv"
    rows = [f"c{index}.mp4,{index}" for index in range(4)]
    table.write_text("\n".join(["filename,motion_score", *rows]))
    before = compiled(project, source="file", path="changing.csv")
    table.write_text("\n".join(["filename,motion_score", *rows[:3], "c3.mp4,30"]))
    after = compiled(project, source="file", path="changing.csv")

    changed = [new.path for old, new in zip(before.survey.rows, after.survey.rows, strict=True) if old != new]
    assert changed == ["c3.mp4"]
    plans = [make_plan(done) for done in (before, after)]
    assert plans[0].plan_id != plans[1].plan_id
    assert [source["name"] for source in plans[0].meta["sources"]][-1] == str(table)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("", "no row of `odd.csv` is for it"),
        ("c3.mp4,", "its motion score is empty in line 5 of `odd.csv`"),
        ("c3.mp4,fast", "`fast` in `odd.csv` is no number from 0 to 1000"),
        ("c3.mp4,-1", "`-1` in `odd.csv` is no number from 0 to 1000"),
        ("c3.mp4,1001", "`1001` in `odd.csv` is no number from 0 to 1000"),
        ("c3.mp4,nan", "`nan` in `odd.csv` is no number from 0 to 1000"),
        ("c3.mp4,4\nc3.mp4,5", "lines 5 and 6 of `odd.csv` give it different motion scores"),
    ],
)
def test_a_clip_without_a_clear_score_is_told_and_not_guessed(project, row, reason):
    rows = ["filename,motion_score", *(f"c{index}.mp4,{index}" for index in range(3)), row]
    (project.parent / "odd.csv").write_text("\n".join(rows))

    done = compiled(project, source="file", path="odd.csv")

    (finding,) = done.found
    assert (finding.code, finding.severity) == ("R330", "error")
    assert finding.message == "1 of 4 clips of data set `x` has no motion score"
    assert done.survey.rows[3].fate == "missing-caption"
    assert done.survey.rows[3].reason == f"no motion score: {reason}"
    skipping = compiled(project, "data.on_missing_caption=skip", source="file", path="odd.csv")
    assert [(d.code, d.severity) for d in skipping.found] == [("R330", "warning")]


def test_a_table_that_lacks_the_column_is_a_finding_at_its_key(project):
    (finding,) = compiled(project, source="file", path="motion.csv", score_column="motion").found

    assert (finding.code, "has no column `motion`" in finding.message) == ("R340", True)


def test_names_may_come_without_endings(project):
    rows = ["filename,motion_score", *(f"c{index},7" for index in range(4))]
    (project.parent / "stems.csv").write_text("\n".join(rows))

    done = compiled(project, source="file", path="stems.csv", identifier_includes_extension="false")

    assert set(ends(done).values()) == {" motion score: 7."}


# Settings that don't go together


@pytest.mark.parametrize(
    ("keys", "more", "words"),
    [
        ({"source": "column"}, (), "captions come from `textfile`"),
        (
            {"source": "column"},
            ("data.datasets.0.type=csv", "data.datasets.0.csv_file=x.csv", "data.datasets.0.caption_strategy=csv"),
            "captions come from tables that `recipe fetch` reads",
        ),
        ({"source": "file"}, (), "needs a `path`"),
    ],
)
def test_a_source_without_what_it_reads_is_an_error_and_nobody_looks(project, keys, more, words):
    done = compiled(project, *more, **keys)

    (finding,) = [d for d in done.found if d.code == "R329"]
    assert (finding.severity, words in finding.message) == ("error", True)
    assert done.survey is None


def test_keys_that_the_source_does_not_read_are_told(project):
    done = compiled(project, source="flow", path="motion.csv", filename_column="file")

    assert [(d.code, d.severity) for d in done.found] == [("R329", "warning")] * 2
    assert "`motion.path` has no effect: scores come from `flow`" in [d.message for d in done.found]
    (finding,) = compiled(project, path="motion.csv").found
    assert finding.message == "`motion.path` has no effect: scores come from `constant`"


def test_scores_for_clips_and_none_for_prompts_is_a_warning(project):
    (finding,) = compiled(project, "data.motion_score=null", source="file", path="motion.csv").found
    without = ("data.motion_score=null", "validation.prompt=null")

    assert (finding.code, finding.severity) == ("R329", "warning")
    assert finding.message == "captions of data set `x` end with a motion score, and prompts with none"
    assert [d.code for d in compiled(project, *without, source="file", path="motion.csv").found] == ["R602"]
    assert set(ends(compiled(project, "data.motion_score=null")).values()) == {""}


def test_a_disabled_data_set_needs_no_scores(project):
    other = "data.datasets+=[{id: y, instance_data_dir: clips, disabled: true, motion: {source: file}}]"

    assert [d.code for d in compiled(project, other).found if d.code != "R323"] == []


def test_flow_without_opencv_is_an_error(project, monkeypatch):
    monkeypatch.setattr(motion, "can_measure", lambda: False)

    done = compiled(project, source="flow", on=machine())

    (finding,) = done.found
    assert (finding.code, finding.severity) == ("R331", "error")
    assert done.survey is None
    assert "R331" not in [d.code for d in compiled(project, source="flow").found]


# Measuring


@pytest.mark.parametrize("shift", [0, 1, 4])
def test_a_pan_is_measured_in_pixels_of_half_a_second(tmp_path, shift):
    """A pan has v = 0, so the mean of |u| and |v| is half its pixels."""
    assert motion_of(draw(tmp_path / "a.mp4", shift=shift), window()) == pytest.approx(
        shift * 8 / 2, abs=0.03, rel=0.02
    )


def test_the_score_does_not_depend_on_frame_rate_size_or_turning(tmp_path):
    slow = draw(tmp_path / "slow.mp4", shift=4, fps=16)
    fast = draw(tmp_path / "fast.mp4", shift=2, fps=32, frames=66)
    large = draw(tmp_path / "large.mp4", shift=8, size=(1152, 640))
    tall = tmp_path / "tall.mp4"
    with av.open(str(slow)) as source, av.open(str(tall), "w") as target:
        stream = target.add_stream("libx264", rate=16)
        stream.width, stream.height, stream.pix_fmt, stream.options = 320, 576, "yuv420p", {"crf": "12"}
        for frame in source.decode(video=0):
            picture = np.ascontiguousarray(frame.to_ndarray(format="rgb24").swapaxes(0, 1))
            target.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        target.mux(stream.encode())

    scores = [motion_of(clip, window()) for clip in (slow, fast, large, tall)]

    assert scores == pytest.approx([16] * 4, rel=0.03)


def test_short_windows_are_scaled_to_half_a_second_and_one_frame_does_not_move(tmp_path):
    clip = draw(tmp_path / "a.mp4", shift=2)

    assert motion_of(clip, window(frames=5)) == pytest.approx(8, rel=0.03)
    assert motion_of(clip, window(frames=1)) == 0
    assert motion_of(clip, window(framerate=8.0, spacing=1 / 16)) == pytest.approx(4, rel=0.03), "played at half speed"


def test_only_the_window_counts_and_the_last_frame_stays_on_the_screen(tmp_path):
    clip = draw(tmp_path / "a.mp4", shift=2, frames=20)

    assert motion_of(clip, window(begin=0.25, frames=9)) == pytest.approx(8, rel=0.03)
    assert motion_of(clip, window(begin=1.2, frames=9)) < 1.5, "it ends after 1.25 s"


def test_what_can_not_be_decoded_is_an_error(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(FlowError, match="can't be decoded"):
        motion_of(tmp_path / "a.mp4", window())
    whole = draw(tmp_path / "b.mkv", shift=2, frames=60)
    content = bytearray(whole.read_bytes())
    content[4000:-2000] = bytes(len(content) - 6000)
    whole.write_bytes(content)
    with pytest.raises(FlowError, match=r"damaged|decode"):
        motion_of(whole, window(frames=57))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pts": None}, "has a frame without a timestamp"),
        ({"is_corrupt": True}, "has a damaged frame"),
        (None, "no frame"),
    ],
)
def test_frames_that_can_not_be_used_are_told(monkeypatch, tmp_path, changes, words):
    clip = draw(tmp_path / "a.mp4", shift=1, frames=9)
    with av.open(str(clip)) as container:
        real = list(container.decode(video=0))
    frames = (
        []
        if changes is None
        else [_Changed(frame, changes if number == 1 else {}) for number, frame in enumerate(real)]
    )
    opened = SimpleNamespace(streams=SimpleNamespace(video=[0]), decode=lambda _: iter(frames))
    monkeypatch.setattr(flow.av, "open", lambda *_, **__: nullcontext(opened))

    with pytest.raises(FlowError, match=words):
        motion_of(clip, window(frames=9))


class _Changed:
    """A frame of which something else is said."""

    def __init__(self, frame, changes):
        self.frame, self.changes = frame, changes

    def __getattr__(self, name):
        return self.changes[name] if name in self.changes else getattr(self.frame, name)


def test_clips_are_measured_once_for_each_content_and_window(project, tmp_path, monkeypatch):
    draw(project.parent / "moving" / "a.mp4", shift=4).with_suffix(".txt").write_text("noise")
    draw(project.parent / "moving" / "b.mp4", shift=1).with_suffix(".txt").write_text("noise too")
    (project.parent / "moving" / "c.mp4").write_bytes((project.parent / "moving" / "a.mp4").read_bytes())
    (project.parent / "moving" / "c.txt").write_text("the same noise")
    asked, ask_each = [], indexes.ask_each
    monkeypatch.setattr(indexes, "ask_each", lambda questions: (asked.extend(questions), ask_each(questions))[1])
    heard = []

    def look(**changes):
        options = Options(
            overrides=[
                "data.datasets=[{id: x, instance_data_dir: moving, video: {num_frames: 17}, motion: {source: flow}}]"
            ],
            index_file=tmp_path / "index.sqlite",
            machine=WITH_OPENCV,
            measuring=lambda *counts: heard.append(counts),
        )
        return compile_recipe(project, options, **changes)

    found = [ends(look()) for _ in range(2)]

    assert found[0] == found[1]
    scores = {path: int(text.removeprefix(" motion score: ").rstrip(".")) for path, text in found[0].items()}
    assert scores["a.mp4"] == scores["c.mp4"]
    assert scores["a.mp4"] in (15, 16)
    assert scores["b.mp4"] in (3, 4)
    assert len(asked) == 2
    assert heard == [(0, 2), (1, 2), (2, 2), (2, 2)]


def test_all_texts_of_a_clip_get_its_score(project):
    captions = draw(project.parent / "said" / "a.mp4", shift=1).with_suffix(".txt")
    captions.write_text("noise\nmore noise\n")

    done = compiled(project, "data.datasets.0.multiline=split", folder="said", source="flow")

    first, second = done.survey.rows[0].texts
    assert first.removeprefix("noise") == second.removeprefix("more noise") != ""


def test_a_clip_whose_motion_can_not_be_measured_is_listed_with_the_reason(project, monkeypatch):
    def say(questions):
        for number, (file, _) in enumerate(questions):
            yield (
                number,
                {"problem": "crashes the video library (SIGSEGV)"} if file.name == "c1.mp4" else {"pixels": 2e9},
            )

    monkeypatch.setattr(indexes, "ask_each", say)

    done = compiled(project, source="flow")

    row = done.survey.rows[1]
    assert (row.fate, row.reason) == ("quarantined", "no motion score: crashes the video library (SIGSEGV)")
    assert row.text == ""
    assert [d.code for d in done.found] == ["R305"]
    assert set(ends(done).values()) == {" motion score: 1000."}


def test_a_broken_memory_of_scores_costs_time_and_nothing_else(tmp_path):
    clip = draw(tmp_path / "a.mp4", shift=1)
    wish = Wish(file=clip, window={"begin": 0.0, "spacing": 1 / 16, "frames": 9, "framerate": 16.0}, key="sha256:one")
    with ProbeIndex(tmp_path / "index.sqlite") as index:
        first = index.motion_of_all([wish], lambda *_: None)
        index._database.execute("DROP TABLE motion")
        assert index.motion_of_all([wish], lambda *_: None) == first
    with sqlite3.connect(tmp_path / "index.sqlite") as database:
        database.execute("CREATE TABLE motion (key TEXT PRIMARY KEY, pixels REAL)")
        database.execute("INSERT INTO motion VALUES ('sha256:one', 'many')")
    with ProbeIndex(tmp_path / "index.sqlite") as index:
        assert index.motion_of_all([wish], lambda *_: None) == first
    with ProbeIndex(None) as index:
        assert index.motion_of_all([wish], lambda *_: None) == first


def test_the_process_for_damaged_files_measures_too(tmp_path):
    clip, answers = draw(tmp_path / "a.mp4", shift=1), io.StringIO()
    asked = {"begin": 0.0, "spacing": 1 / 16, "frames": 9, "framerate": 16.0}

    worker.serve([json.dumps({"path": str(path), "window": asked}) for path in (clip, tmp_path / "no.mp4")], answers)

    good, bad = map(json.loads, answers.getvalue().splitlines())
    assert good["pixels"] == motion_of(clip, Window(**asked))
    assert bad == {"problem": "can't be decoded (No such file or directory)"}


def test_measuring_shows_a_bar_on_a_terminal(monkeypatch, capsys, project, tmp_path):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = project.with_name("flow.yaml")
    path.write_text(project.read_text().replace("      video:\n", "      motion: {source: flow}\n      video:\n"))

    main(["explain", str(path), "--clip", "c0.mp4"])

    shown = capsys.readouterr()
    assert "measuring motion: ━━━━━                1 of 4\r" in shown.err
    assert "━━━━━━━━━━━━━━━━━━━━ 4 of 4\r\x1b[K" in shown.err
    assert " motion score: " in shown.out
    findings._measuring(0, 0)
    assert "0 of 0" in capsys.readouterr().err


def test_a_probe_of_a_clip_needs_no_opencv(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "recipe_compiler.data.flow", None)
    answers = io.StringIO()

    worker.serve([json.dumps(str(make_clip(tmp_path / "a.mp4", frames=9)))], answers)

    assert json.loads(answers.getvalue())["problem"] == ""
