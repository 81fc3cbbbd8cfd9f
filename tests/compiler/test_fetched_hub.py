"""Data sets of the Hugging Face hub, in all their layouts."""

import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from huggingface_hub.errors import RevisionNotFoundError
from pyarrow import parquet

from fakes_fetching import captions, clip_content, fetch, findings, recipe, the
from fakes_masks import make_mask
from recipe_compiler.data.fetched import MARKER
from recipe_compiler.fetch import hub, hub_set
from recipe_compiler.fetch.errors import FetchError


@pytest.fixture(scope="module")
def clip_bytes():
    return clip_content()


class FakeHub:
    """What the hub's library would do, out of a folder."""

    def __init__(self, monkeypatch, folder, *, configs=None, error=None):
        self.folder, self.error, self.revisions, self.left_out = folder, error, [], None
        self.card = None if configs is None else SimpleNamespace(to_dict=lambda: {"configs": configs})
        api = SimpleNamespace(dataset_info=self._info)
        for module in (hub, hub_set):
            monkeypatch.setattr(module, "HfApi", lambda: api)
        monkeypatch.setattr(hub, "snapshot_download", self._snapshot)
        monkeypatch.setattr(hub_set, "hf_hub_download", self._file)

    def _info(self, name, revision=None):
        assert name == "me/clips"
        if self.error is not None:
            raise self.error
        self.revisions.append(revision)
        files = sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())
        return SimpleNamespace(
            sha="c0ffee", card_data=self.card, siblings=[SimpleNamespace(rfilename=f) for f in files]
        )

    def _snapshot(self, name, *, repo_type, revision, local_dir, ignore_patterns):
        assert (name, repo_type, revision) == ("me/clips", "dataset", "c0ffee")
        self.left_out = ignore_patterns
        for file in self.folder.rglob("*"):
            target = local_dir / file.relative_to(self.folder)
            if file.is_file() and file.relative_to(self.folder).as_posix() not in (ignore_patterns or ()):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())

    def _file(self, name, path, *, repo_type, revision):
        assert (name, repo_type, revision) == ("me/clips", "dataset", "c0ffee")
        return str(self.folder / path)


@pytest.fixture
def remote(tmp_path):
    (tmp_path / "remote").mkdir()
    return tmp_path / "remote"


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), path)


def hub_recipe(tmp_path, *more):
    return recipe(tmp_path, ["type: huggingface", "dataset_name: me/clips", "caption_strategy: huggingface", *more])


def test_rows_of_parquet_become_clips_with_captions(tmp_path, remote, clip_bytes, monkeypatch):
    rows = [
        {"video": {"bytes": clip_bytes, "path": "x/a.mp4"}, "caption": "a bar\nmoves"},
        {"video": {"bytes": clip_bytes, "path": "y/a.mp4"}, "caption": "another"},
    ]
    write_rows(remote / "data/train-00000-of-00002.parquet", rows)
    more = [{"video": {"bytes": clip_bytes, "path": None}, "caption": "the third"}]
    write_rows(remote / "data/train-00001-of-00002.parquet", more)
    write_rows(remote / "data/test-00000-of-00001.parquet", rows)
    api = FakeHub(monkeypatch, remote)
    path = hub_recipe(tmp_path, "revision: v1")
    assert "`recipe fetch" in the(findings(path), "R301").help

    assert fetch(path) == 0

    assert captions(path) == {"a.mp4": "a bar moves", "a-000002.mp4": "another", "000003.mp4": "the third"}
    assert api.revisions == ["v1"]
    marker = json.loads((tmp_path / "data/clips" / MARKER).read_text())
    assert marker == {"source": "hf:me/clips@v1 split train clips video captions caption", "revision": "c0ffee"}
    assert fetch(path) == 0
    assert len(api.revisions) == 1, "once is enough"
    other = hub_recipe(tmp_path, "revision: v1", "split: test")
    assert "split test" in the(findings(other, must_run=True), "R301").message
    assert fetch(other) == 4


def test_several_columns_make_lines_and_the_fallback_fills_in(tmp_path, remote, clip_bytes, monkeypatch):
    rows = [
        {"clip": clip_bytes, "short": "a bar", "long": "a bar moves", "alt": "x"},
        {"clip": clip_bytes, "short": "", "long": None, "alt": "the other"},
        {"clip": clip_bytes, "short": "", "long": None, "alt": ""},
    ]
    write_rows(remote / "rows.parquet", rows)
    FakeHub(monkeypatch, remote)
    columns = "{video_column: clip, caption_column: [short, long], fallback_caption_column: alt}"
    assert fetch(hub_recipe(tmp_path, f"huggingface: {columns}")) == 0
    folder = tmp_path / "data/clips"
    assert (folder / "000001.txt").read_text() == "a bar\na bar moves\n"
    assert (folder / "000002.txt").read_text() == "the other\n"
    assert not (folder / "000003.txt").exists()


def test_rows_may_name_files_of_the_data_set(tmp_path, remote, clip_bytes, monkeypatch):
    (remote / "films").mkdir()
    (remote / "films/a.mov").write_bytes(clip_bytes)
    write_rows(remote / "rows.parquet", [{"video": "films/a.mov", "caption": "a bar"}])
    FakeHub(monkeypatch, remote)
    keys = ["type: huggingface", "dataset_name: me/clips", "caption_strategy: filename"]
    path = recipe(tmp_path, keys)
    assert fetch(path) == 0
    assert captions(path) == {"a.mov": "a"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"video": "https://x/a.mp4", "caption": "a"}, "but the address `https://x/a.mp4`; take `type: csv`"),
        ({"video": 3, "caption": "a"}, "row 1 of me/clips holds no clip in its column `video`"),
        ({"video": None, "caption": "a"}, "holds no clip"),
        ({"film": "a", "caption": "a"}, "has no column `video`; its columns are film, caption"),
    ],
)
def test_rows_without_clips_are_refused_and_leave_nothing(tmp_path, remote, monkeypatch, capsys, row, words):
    write_rows(remote / "rows.parquet", [row])
    FakeHub(monkeypatch, remote)
    assert fetch(hub_recipe(tmp_path)) == 4
    assert words in capsys.readouterr().err
    assert list((tmp_path / "data").iterdir()) == []


def test_a_broken_parquet_file_is_named(tmp_path, remote, monkeypatch, capsys):
    (remote / "rows.parquet").write_bytes(b"PAR1 no")
    FakeHub(monkeypatch, remote)
    assert fetch(hub_recipe(tmp_path)) == 4
    assert "rows.parquet can't be read" in capsys.readouterr().err


def test_the_page_of_a_data_set_says_which_files_are_of_a_split(tmp_path, remote, clip_bytes, monkeypatch, capsys):
    for name in ("one", "two", "three"):
        write_rows(remote / f"{name}.parquet", [{"video": clip_bytes, "caption": name}])
    files = [{"split": "train", "path": ["one.parquet", "tw*.parquet"]}, {"split": "test", "path": "three.parquet"}]
    configs = [{"config_name": "default", "data_files": files}, {"config_name": "x", "data_files": "one.parquet"}]
    FakeHub(monkeypatch, remote, configs=configs)
    path = hub_recipe(tmp_path)
    assert fetch(path) == 0
    assert sorted(captions(path).values()) == ["one", "two"]

    FakeHub(monkeypatch, remote, configs=[{"config_name": "x", "data_files": "three.parquet"}])
    path = hub_recipe(tmp_path, "instance_data_dir: third")
    assert fetch(path) == 0
    assert list(captions(path).values()) == ["three"]

    FakeHub(monkeypatch, remote, configs=[{"config_name": n, "data_files": "one.parquet"} for n in ("x", "y")])
    assert fetch(hub_recipe(tmp_path, "instance_data_dir: fourth")) == 4
    assert "several configurations (x, y)" in capsys.readouterr().err

    FakeHub(monkeypatch, remote, configs=[{"config_name": "x"}])
    assert fetch(hub_recipe(tmp_path, "instance_data_dir: fifth", "split: test")) == 4
    assert "has no split `test`" in capsys.readouterr().err


def test_lists_of_clips_and_prompts_are_joined_by_line(tmp_path, remote, clip_bytes, monkeypatch, capsys):
    (remote / "videos").mkdir()
    for name in ("a", "b"):
        (remote / f"videos/{name}.mp4").write_bytes(clip_bytes)
    (remote / "videos.txt").write_text("videos/b.mp4\r\nvideos/a.mp4\r\n")
    (remote / "prompt.txt").write_text("the b\nthe a\n")
    FakeHub(monkeypatch, remote)
    path = hub_recipe(tmp_path)
    assert fetch(path) == 0
    assert captions(path) == {"videos/a.mp4": "the a", "videos/b.mp4": "the b"}

    plain = recipe(tmp_path, ["instance_data_dir: plain", "source: hf:me/clips"])
    assert fetch(plain) == 0
    assert captions(plain) == {"videos/a.mp4": "the a", "videos/b.mp4": "the b"}

    (remote / "prompt.txt").rename(remote / "prompts.txt")
    (remote / "prompts.txt").write_text("the b\n")
    assert fetch(hub_recipe(tmp_path, "instance_data_dir: other")) == 4
    assert "`videos.txt` has 2 lines and `prompts.txt` has 1" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()

    (remote / "prompts.txt").write_text("the b\nthe a\n")
    (remote / "videos/a.txt").write_text("mine")
    (remote / "videos/b.txt").write_text("the b")
    assert fetch(hub_recipe(tmp_path, "instance_data_dir: third")) == 4
    assert "`a.txt` beside `a.mp4` has another caption" in capsys.readouterr().err

    (remote / "videos.txt").write_text("../a.mp4\nvideos/a.mp4")
    assert fetch(hub_recipe(tmp_path, "instance_data_dir: fourth")) == 4
    assert "names `../a.mp4`, and there is no such clip" in capsys.readouterr().err


def test_a_metadata_table_gives_captions(tmp_path, remote, clip_bytes, monkeypatch, capsys):
    for split in ("train", "test"):
        (remote / split).mkdir()
        (remote / split / "a.mp4").write_bytes(clip_bytes)
    (remote / "train/metadata.csv").write_text("file_name,caption,alt\na.mp4,,the other\n")
    api = FakeHub(monkeypatch, remote)
    columns = "huggingface: {fallback_caption_column: alt}"
    path = hub_recipe(tmp_path, columns)
    assert fetch(path) == 0
    assert captions(path) == {"train/a.mp4": "the other"}
    assert api.left_out == ["test/a.mp4"]

    assert fetch(hub_recipe(tmp_path, "instance_data_dir: x", "split: dev")) == 4
    assert "has no split `dev`" in capsys.readouterr().err
    assert fetch(hub_recipe(tmp_path, "instance_data_dir: y", "huggingface: {caption_column: text}")) == 4
    assert "`metadata.csv` has no column `text`" in capsys.readouterr().err


def test_lists_and_rows_of_one_clip_make_lines(tmp_path, remote, clip_bytes, monkeypatch):
    rows = [{"clip": clip_bytes, "caption": ["a bar", " ", "a bar\nthat moves"]}]
    write_rows(remote / "rows.parquet", rows)
    FakeHub(monkeypatch, remote)
    assert fetch(hub_recipe(tmp_path, "huggingface: {video_column: clip}")) == 0
    assert (tmp_path / "data/clips/000001.txt").read_text() == "a bar\na bar that moves\n"

    (remote / "rows.parquet").unlink()
    (remote / "a.mp4").write_bytes(clip_bytes)
    lines = [{"file_name": "a.mp4", "caption": caption} for caption in ("one", ["two", "three"], "one")]
    (remote / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    FakeHub(monkeypatch, remote)
    assert fetch(hub_recipe(tmp_path, "instance_data_dir: rows")) == 0
    assert (tmp_path / "rows/a.txt").read_text() == "one\ntwo\nthree\n"


def test_clips_with_text_files_are_taken_as_they_are(tmp_path, remote, clip_bytes, monkeypatch, capsys):
    (remote / "a.mp4").write_bytes(clip_bytes)
    (remote / "a.txt").write_text("a bar")
    FakeHub(monkeypatch, remote)
    path = hub_recipe(tmp_path)
    assert fetch(path) == 0
    assert captions(path) == {"a.mp4": "a bar"}
    assert "captions are its .txt files" in capsys.readouterr().err
    assert fetch(hub_recipe(tmp_path, "instance_data_dir: x", "split: test")) == 4


def test_what_an_interrupted_fetch_left_of_another_split_does_not_stay(tmp_path, remote, clip_bytes, monkeypatch):
    for split in ("train", "test"):
        (remote / split).mkdir()
        (remote / split / f"{split}.mp4").write_bytes(clip_bytes)
        (remote / split / f"{split}.txt").write_text(f"a {split}")
    FakeHub(monkeypatch, remote)
    with monkeypatch.context() as patch:
        patch.setattr(hub, "complete_folder", fail)
        assert fetch(hub_recipe(tmp_path)) == 4

    path = hub_recipe(tmp_path, "split: test")
    assert fetch(path) == 0

    assert captions(path) == {"test/test.mp4": "a test"}


def fail(*_):
    raise FetchError("the disk is full")


def test_a_revision_that_is_not_there_is_told(tmp_path, remote, monkeypatch, capsys):
    response = SimpleNamespace(headers={}, request=None, status_code=404, url="http://localhost")
    FakeHub(monkeypatch, remote, error=RevisionNotFoundError("no", response=response))
    assert fetch(hub_recipe(tmp_path)) == 4
    assert "has no such revision" in capsys.readouterr().err
    (tmp_path / "data/clips").mkdir(parents=True)
    (tmp_path / "data/clips/mine.mp4").write_bytes(b"mine")
    assert fetch(hub_recipe(tmp_path)) == 4
    assert "was not made by `recipe fetch`" in capsys.readouterr().err


def test_images_of_a_hub_data_set_come_from_their_own_column(tmp_path, remote, monkeypatch):
    photo = make_mask(tmp_path / "p.png").read_bytes()
    write_rows(remote / "data/train-0.parquet", [{"image": {"bytes": photo, "path": None}, "caption": "a photo"}])
    FakeHub(monkeypatch, remote)
    path = hub_recipe(tmp_path, "dataset_type: image")
    assert fetch(path) == 0
    assert [(Path(name).name, text) for name, text in captions(path).items()] == [("000001.png", "a photo")]
