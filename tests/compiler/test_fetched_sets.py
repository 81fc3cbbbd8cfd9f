"""Data sets that `recipe fetch` makes into folders: tables of clips, the hub, tar files."""

import hashlib
import io
import json
import os
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from huggingface_hub.errors import RevisionNotFoundError
from pyarrow import parquet

from fakes_clips import RECIPE, make_clip
from fakes_masks import make_mask
from recipe_compiler.cli.main import main
from recipe_compiler.data.fetched import MARKER
from recipe_compiler.fetch import download as downloads, hub, hub_set, manifest_clips
from recipe_compiler.pipeline import Options, compile_recipe, make_plan


@pytest.fixture(scope="module")
def clip_bytes(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clip") / "a.mp4").read_bytes()


@pytest.fixture
def clips(tmp_path, clip_bytes):
    """A folder of clips outside of all data folders."""
    (tmp_path / "mine").mkdir()
    for name in ("a", "b"):
        (tmp_path / "mine" / f"{name}.mp4").write_bytes(clip_bytes)
    return tmp_path / "mine"


class Site(BaseHTTPRequestHandler):
    """A server that knows ranges, and does what ``behaviour`` says with its next answers."""

    protocol_version = "HTTP/1.0"

    def do_GET(self):
        site = self.server
        site.asked.append((self.path, self.headers["Range"]))
        what = site.behaviour.pop(0) if site.behaviour else "send"
        if what.isdigit():
            self.send_error(int(what))
            return
        data, wanted = site.content, self.headers["Range"]
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if wanted and self.headers["If-Range"] == site.tag:
            self.send_response(206)
        else:
            self.send_response(200)
            start = 0
        self.send_header("ETag", site.tag)
        if what != "no length":
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start : start + 1000] if what == "cut" else data[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def site(clip_bytes, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(manifest_clips.fetch_manifest, "__kwdefaults__", {"pause": lambda _: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.content, server.tag, server.behaviour, server.asked = clip_bytes, '"one"', [], []
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def recipe(tmp_path, keys):
    """Write a recipe with one data set of these keys."""
    path = tmp_path / "recipe.yaml"
    lines = "\n".join(f"      {line}" for line in keys)
    path.write_text(RECIPE.replace("      instance_data_dir: clips", lines), encoding="utf-8")
    return path


def table(tmp_path, text, *more):
    (tmp_path / "clips.csv").write_text(text, encoding="utf-8")
    return recipe(tmp_path, ["type: csv", "csv_file: clips.csv", "caption_strategy: csv", *more])


def fetch(path):
    return main(["fetch", str(path)])


def findings(path, **options):
    return compile_recipe(path, Options(**options)).found


def captions(path):
    compiled = compile_recipe(path, Options(must_run=True))
    assert {d.code for d in compiled.found if d.severity == "error"} <= {"R304"}, "one clip is too few to train"
    if compiled.ok:
        make_plan(compiled)
    return {row.path: row.caption for row in compiled.survey.rows if row.fate == "trained"}


def the(found, code):
    (match,) = [d for d in found if d.code == code]
    return match


def test_local_clips_of_a_table_are_linked_with_their_captions(tmp_path, clips):
    path = table(tmp_path, 'url,caption\nmine/a.mp4,"a bar"\n' + f"{clips}/b.mp4,another bar\nmine/a.mp4,a bar\n")
    before = the(findings(path), "R301")
    assert (before.severity, "does not exist" in before.message) == ("warning", True)
    assert "recipe fetch" in before.help
    assert the(findings(path, must_run=True), "R301").severity == "error"

    assert fetch(path) == 0

    assert captions(path) == {"a.mp4": "a bar", "b.mp4": "another bar"}
    assert (tmp_path / "data" / "clips" / "a.mp4").is_symlink(), "by default it lies beside the recipe"
    assert fetch(path) == 0
    assert not list(clips.glob("*.txt")), "the user's folder is left as it is"


def test_a_changed_table_is_noticed_and_what_it_lost_is_put_aside(tmp_path, clips):
    path = table(tmp_path, "url,caption\nmine/a.mp4,a bar\nmine/b.mp4,another bar\n")
    fetch(path)
    table(tmp_path, "url,caption\nmine/b.mp4,a better caption\n")

    stale = the(findings(path, must_run=True), "R301")
    assert (stale.severity, "has changed since" in stale.message) == ("error", True)
    assert fetch(path) == 0

    assert captions(path) == {"b.mp4": "a better caption"}
    assert sorted(p.name for p in (tmp_path / "data/clips/.removed").iterdir()) == ["a.mp4", "a.txt"]
    assert (clips / "a.mp4").is_file()
    (tmp_path / "data/clips/b.txt").unlink()
    table(tmp_path, "url,caption\nmine/a.mp4,a bar\n")
    assert fetch(path) == 0, "a caption that somebody took away is no hindrance"


def test_captions_may_come_from_beside_the_clips_and_from_other_places(tmp_path, clips):
    (clips / "a.txt").write_text("a bar, beside\n")
    (tmp_path / "clips.jsonl").write_text('{"url": "mine/a.mp4"}\n{"url": "mine/b.mp4"}\n')
    keys = ["type: csv", "csv_file: clips.jsonl", "csv_cache_dir: cache"]
    path = recipe(tmp_path, keys)
    assert fetch(path) == 0
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == [MARKER, "a.mp4", "a.txt", "b.mp4"]
    assert "R306" in [d.code for d in findings(path)], "b has no caption"

    named = recipe(tmp_path, [*keys, "caption_strategy: filename"])
    assert captions(named) == {"a.mp4": "a", "b.mp4": "b"}


def test_clips_of_one_name_get_names_of_their_own(tmp_path, clips, clip_bytes):
    (clips / "more").mkdir()
    (clips / "more" / "A.MP4").write_bytes(clip_bytes)
    path = table(tmp_path, "url,caption\nmine/a.mp4,one\nmine/more/A.MP4,two\n")
    assert fetch(path) == 0
    got = captions(path)
    assert sorted(got.values()) == ["one", "two"]
    assert all(name.lower().startswith("a-") for name in got)


def test_addresses_are_downloaded_once_with_their_checksums(tmp_path, site, clip_bytes):
    path = table(tmp_path, f"url,caption\n{site.address}/x/a%20b.mp4?size=1,a bar\n{site.address}/,no name\n")
    site.behaviour = ["no length"]
    assert fetch(path) == 0
    assert captions(path) == {"a b.mp4": "a bar", "clip.mp4": "no name"}
    kept = tmp_path / "data/clips/.downloads"
    notes = [json.loads(file.read_text()) for file in kept.glob("*.json")]
    assert {note["sha256"] for note in notes} == {hashlib.sha256(clip_bytes).hexdigest()}
    assert len(list(kept.iterdir())) == 4, "nothing half is left"

    assert fetch(path) == 0
    assert len(site.asked) == 2
    next(kept.glob("*.mp4")).write_bytes(b"cut")
    assert fetch(path) == 0
    assert len(site.asked) == 3, "a broken one is fetched anew"
    assert len(captions(path)) == 2


def test_a_download_that_breaks_off_goes_on(tmp_path, site, clip_bytes, capsys):
    path = table(tmp_path, f"url,caption\n{site.address}/a.mp4,a bar\n")
    site.behaviour = ["cut", "503", "send"]
    assert fetch(path) == 0
    assert [wanted for _, wanted in site.asked] == [None, "bytes=1000-", "bytes=1000-"]
    assert (tmp_path / "data/clips/a.mp4").read_bytes() == clip_bytes
    assert "trying again" in capsys.readouterr().err


def test_a_download_that_changed_meanwhile_begins_anew(tmp_path, site, clip_bytes):
    path = table(tmp_path, f"url,caption\n{site.address}/a.mp4,a bar\n")
    site.behaviour = ["cut"] * 4
    assert fetch(path) == 4
    site.tag, site.behaviour = '"two"', ["416", "send"]
    site.content = clip_bytes[::-1]
    assert fetch(path) == 0
    assert (tmp_path / "data/clips/a.mp4").read_bytes() == site.content


def test_bytes_of_unknown_state_are_not_gone_on_with(tmp_path, site):
    path = table(tmp_path, f"url,caption\n{site.address}/a.mp4,a bar\n")
    site.tag, site.behaviour = 'W/"weak"', ["cut", "send"]
    assert fetch(path) == 0
    assert [wanted for _, wanted in site.asked] == [None, None]

    (part,) = (tmp_path / "data/clips/.downloads").glob("*.mp4")
    part.rename(f"{part}.part")
    assert fetch(path) == 0
    assert site.asked[-1][1] is None, "there is no note of what the part is of"


def test_what_can_not_be_downloaded_is_named_and_the_rest_is_there(tmp_path, site, capsys):
    text = f"url,caption\n{site.address}/gone.mp4,one\nmine/none.mp4,two\n{site.address}/b.mp4,three\n"
    path = table(tmp_path, text)
    site.behaviour = ["404"]
    assert fetch(path) == 4
    error = capsys.readouterr().err
    assert f"`{site.address}/gone.mp4` could not be downloaded (Not Found)" in error
    assert "none.mp4` of `clips.csv` does not exist" in error
    assert "(and 1 more of 3)" in error
    assert len(list((tmp_path / "data/clips/.downloads").glob("*.mp4"))) == 1
    assert "is not complete" in the(findings(path), "R301").message


def test_words_of_an_error_without_words():
    assert downloads._words(OSError()) == "OSError"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("url,caption\n", "has no rows"),
        ("url,caption\n,x\n", "row 1 of `clips.csv` names ``"),
        ("url,caption\ns3://b/a.mp4,x\n", "a path or an address"),
        ("url,caption\na.jpg,x\n", "no video by its ending"),
        ("url,caption\na.mp4,x\na.mp4,y\n", "row 2 gives"),
        ("uri,caption\na.mp4,x\n", "no column `url`"),
    ],
)
def test_a_table_that_names_no_clips_is_a_finding(tmp_path, text, words, capsys):
    path = table(tmp_path, text)
    found = the(findings(path), "R340")
    assert (found.severity, words in found.message) == ("error", True)
    assert fetch(path) == 4
    assert "`recipe lint` says" in capsys.readouterr().err


def test_a_folder_that_something_else_made_is_left_alone(tmp_path, clips):
    path = table(tmp_path, "url,caption\nmine/a.mp4,a bar\n", "instance_data_dir: mine")
    assert "was not made by `recipe fetch`" in the(findings(path, must_run=True), "R301").message
    assert fetch(path) == 4
    assert sorted(p.name for p in clips.iterdir()) == ["a.mp4", "b.mp4"]


@pytest.mark.usefixtures("clips")
def test_a_folder_of_another_table_is_refused(tmp_path):
    path = table(tmp_path, "url,caption\nmine/a.mp4,a bar\n")
    fetch(path)
    (tmp_path / "other.csv").write_text("url,caption\nmine/a.mp4,a bar\n")
    path.write_text(path.read_text().replace("csv_file: clips.csv", "csv_file: other.csv"))
    assert "holds `csv:clips.csv`, not `csv:other.csv`" in the(findings(path), "R301").message
    assert fetch(path) == 4


def test_a_table_that_vanishes_while_it_is_fetched_is_one_sentence(tmp_path, monkeypatch, capsys):
    from recipe_compiler.fetch import data_set

    def vanish(settings, table, root):
        (tmp_path / "clips.csv").unlink()
        return read(settings, table, root)

    read = data_set.read_manifest
    monkeypatch.setattr(data_set, "read_manifest", vanish)
    assert fetch(table(tmp_path, "url,caption\nmine/a.mp4,a bar\n")) == 4
    assert "can't be read: No such file" in capsys.readouterr().err


@pytest.mark.usefixtures("clips")
def test_a_place_that_can_not_be_written_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"")
    path = table(tmp_path, "url,caption\nmine/a.mp4,a bar\n", "csv_cache_dir: file/clips")
    assert fetch(path) == 4
    assert "could not be written" in capsys.readouterr().err


@pytest.mark.usefixtures("clips")
def test_two_folders_of_one_table_are_told(tmp_path):
    keys = "instance_data_dir: one", "csv_cache_dir: two"
    found = the(findings(table(tmp_path, "url,caption\nmine/a.mp4,a\n", *keys)), "R319")
    assert (found.severity, "`csv_cache_dir` the same thing" in found.message) == ("warning", True)


def test_a_data_set_that_is_unclear_or_switched_off_fetches_nothing(tmp_path, capsys):
    off = recipe(tmp_path, ["instance_data_dir: mine", "disabled: true"])
    (tmp_path / "mine").mkdir()
    assert fetch(off) == 0
    both = recipe(tmp_path, ["instance_data_dir: mine"])
    text = both.read_text().replace("train:\n", "    - {id: s, type: csv}\ntrain:\n")
    both.write_text(text)
    assert fetch(both) == 4
    assert "s: `recipe lint` says what is wrong" in capsys.readouterr().err


# --- the hub ---------------------------------------------------------------------------------------------------------


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


def test_clips_with_text_files_are_taken_as_they_are(tmp_path, remote, clip_bytes, monkeypatch, capsys):
    (remote / "a.mp4").write_bytes(clip_bytes)
    (remote / "a.txt").write_text("a bar")
    FakeHub(monkeypatch, remote)
    path = hub_recipe(tmp_path)
    assert fetch(path) == 0
    assert captions(path) == {"a.mp4": "a bar"}
    assert "captions are its .txt files" in capsys.readouterr().err
    assert fetch(hub_recipe(tmp_path, "instance_data_dir: x", "split: test")) == 4


def test_a_revision_that_is_not_there_is_told(tmp_path, remote, monkeypatch, capsys):
    response = SimpleNamespace(headers={}, request=None, status_code=404, url="http://localhost")
    FakeHub(monkeypatch, remote, error=RevisionNotFoundError("no", response=response))
    assert fetch(hub_recipe(tmp_path)) == 4
    assert "has no such revision" in capsys.readouterr().err
    (tmp_path / "data/clips").mkdir(parents=True)
    (tmp_path / "data/clips/mine.mp4").write_bytes(b"mine")
    assert fetch(hub_recipe(tmp_path)) == 4
    assert "was not made by `recipe fetch`" in capsys.readouterr().err


# --- tar files -------------------------------------------------------------------------------------------------------


def write_tar(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def tar_recipe(tmp_path):
    return recipe(tmp_path, ["type: webdataset", "instance_data_dir: tars"])


def test_tar_files_are_unpacked_once_and_anew_when_they_change(tmp_path, clip_bytes, capsys):
    members = [
        ("a/000.v1.mp4", clip_bytes),
        ("a/000.txt", b"the first"),
        ("a/001.mp4", clip_bytes),
        ("a/001.json", b'{"n": 1, "caption": "the second"}'),
        ("a/000.json", b'{"caption": "not this"}'),
        ("a/002.json", b"[]"),
        ("b/003.json", b'{"text": "of no clip"}'),
        ("a/000.cls", b"1"),
    ]
    write_tar(tmp_path / "tars/one.tar", members)
    write_tar(tmp_path / "tars/sub/two.tar", [("000.mp4", clip_bytes), ("000.txt", b"the third")])
    path = tar_recipe(tmp_path)
    assert "are not unpacked" in the(findings(path, must_run=True), "R301").message

    assert fetch(path) == 0

    got = captions(path)
    assert sorted(got.values()) == ["the first", "the second", "the third"]
    sha = hashlib.sha256((tmp_path / "tars/one.tar").read_bytes()).hexdigest()[:12]
    assert f"unpacked/one-{sha}/a/000.mp4" in got

    os.utime(tmp_path / "tars/one.tar", ns=(1, 1))
    assert "is not complete, or what it was made from has changed" in the(findings(path), "R301").message
    capsys.readouterr()
    assert fetch(path) == 0
    assert "unpacked 2" not in capsys.readouterr().err, "its bytes are the same"
    write_tar(tmp_path / "tars/one.tar", members[:2])
    assert fetch(path) == 0
    assert sorted(captions(path).values()) == ["the first", "the third"]
    assert len(list((tmp_path / "tars/unpacked/.replaced").glob("*/one-*"))) == 1


def test_images_of_tar_files_are_unpacked_without_their_videos(tmp_path, clip_bytes, capsys):
    photo = make_mask(tmp_path / "p.png").read_bytes()
    write_tar(tmp_path / "tars/one.tar", [("0.png", photo), ("0.mp4", clip_bytes), ("0.txt", b"a photo")])
    images = recipe(tmp_path, ["type: webdataset", "instance_data_dir: tars", "dataset_type: image"])
    assert fetch(images) == 0
    assert [(Path(path).name, text) for path, text in captions(images).items()] == [("0.png", "a photo")]

    videos = tar_recipe(tmp_path)
    assert "holds `webdataset of images`, not `webdataset`" in the(findings(videos), "R301").message
    capsys.readouterr()
    assert fetch(videos) == 4
    assert "holds `webdataset of images`, not `webdataset`; move it away" in capsys.readouterr().err


def test_images_of_a_hub_data_set_come_from_their_own_column(tmp_path, remote, monkeypatch):
    photo = make_mask(tmp_path / "p.png").read_bytes()
    write_rows(remote / "data/train-0.parquet", [{"image": {"bytes": photo, "path": None}, "caption": "a photo"}])
    FakeHub(monkeypatch, remote)
    path = hub_recipe(tmp_path, "dataset_type: image")
    assert fetch(path) == 0
    assert [(Path(name).name, text) for name, text in captions(path).items()] == [("000001.png", "a photo")]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("../a.mp4", b"")], "lies outside"),
        ([("a.mp4", b""), ("a.x.mp4", b"")], "two files for `a.mp4`"),
        ([("a.json", b"{")], "`a.json` in"),
        (None, "one.tar is broken"),
    ],
)
def test_a_tar_file_that_can_not_be_unpacked_leaves_nothing(tmp_path, members, words, capsys):
    if members is None:
        (tmp_path / "tars").mkdir()
        (tmp_path / "tars/one.tar").write_bytes(b"no tar at all")
    else:
        write_tar(tmp_path / "tars/one.tar", members)
    path = tar_recipe(tmp_path)
    assert fetch(path) == 4
    assert words in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "tars/unpacked").iterdir()] == [MARKER]
    assert "is not complete" in the(findings(path), "R301").message


def test_a_folder_without_tar_files_and_a_foreign_one_are_told(tmp_path, capsys):
    path = tar_recipe(tmp_path)
    assert "does not exist" in the(findings(path), "R301").message
    (tmp_path / "tars").mkdir()
    assert fetch(path) == 4
    assert "holds no .tar file" in capsys.readouterr().err
    write_tar(tmp_path / "tars/one.tar", [("a.mp4", b"")])
    (tmp_path / "tars/unpacked").mkdir()
    (tmp_path / "tars/unpacked/mine.mp4").write_bytes(b"mine")
    assert fetch(path) == 4
    assert "was not made by `recipe fetch`" in capsys.readouterr().err
    (tmp_path / "tars/unpacked" / MARKER).write_text("[]")
    assert fetch(path) == 4


# --- S3 stores -------------------------------------------------------------------------------------------------------


class Store:
    """A store of fsspec's kind, out of a mapping. ``behaviour`` says what the next downloads do."""

    def __init__(self, objects):
        self.objects, self.behaviour, self.asked = dict(objects), [], []

    def find(self, root, detail):
        assert detail
        if root.startswith("none"):
            raise PermissionError("Access Denied\nand so on")
        return {
            path: {"size": len(content), "ETag": hashlib.md5(content).hexdigest()}
            for path, content in self.objects.items()
            if path.startswith(root)
        }

    def get_file(self, path, target):
        self.asked.append(path)
        what = self.behaviour.pop(0) if self.behaviour else "send"
        if what == "fail":
            raise ConnectionError
        Path(target).write_bytes(self.objects[path][: 10 if what == "cut" else None])


def store_recipe(tmp_path, *more):
    return recipe(tmp_path, ["type: aws", "aws_bucket_name: films", "aws_data_prefix: sea/", *more])


@pytest.fixture
def store(monkeypatch, clip_bytes):
    from recipe_compiler.fetch import data_set

    made = Store(
        {
            "films/sea/a.mp4": clip_bytes,
            "films/sea/a.txt": b"a wave",
            "films/sea/x/b.mp4": clip_bytes,
            "films/sea/x/b.txt": b"a boat",
            "films/sea/x/empty/": b"",
            "films/land/c.mp4": clip_bytes,
        }
    )
    monkeypatch.setattr(data_set, "open_store", lambda *_: made)
    return made


def test_a_prefix_of_a_store_is_mirrored_once(tmp_path, store):
    path = store_recipe(tmp_path)
    assert "does not exist" in the(findings(path), "R301").message
    assert fetch(path) == 0
    assert captions(path) == {"a.mp4": "a wave", "x/b.mp4": "a boat"}
    assert fetch(path) == 0
    assert len(store.asked) == 4
    other = store_recipe(tmp_path, "aws_endpoint_url: http://localhost:1")
    assert "not `s3://films/sea at http://localhost:1`" in the(findings(other), "R301").message
    assert fetch(other) == 4


def test_objects_that_failed_or_changed_are_fetched_again(tmp_path, store, clip_bytes, capsys):
    path = store_recipe(tmp_path)
    store.behaviour = ["cut", "cut", "cut", "fail", "send", "send", "fail", "fail", "fail"]
    assert fetch(path) == 4
    error = capsys.readouterr().err
    assert f"`films/sea/a.mp4` could not be downloaded (10 of {len(clip_bytes)} bytes came), one of 2 of 4" in error
    assert "(ConnectionError: no details)" in error
    assert not (tmp_path / "data/clips").exists()

    with (tmp_path / "data/.clips.partial/.objects.jsonl").open("a") as notes:
        notes.write("[half\n")
    store.objects["films/sea/a.txt"] = b"a gale"
    store.asked.clear()
    assert fetch(path) == 0
    assert store.asked == ["films/sea/a.mp4", "films/sea/a.txt", "films/sea/x/b.txt"]
    assert captions(path)["a.mp4"] == "a gale"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("aws_bucket_name: none", "could not be listed (PermissionError: Access Denied); check"),
        ("aws_data_prefix: sky", "s3://films/sky holds nothing"),
        ("aws_data_prefix: land/c.mp4", "lies outside"),
    ],
)
def test_a_store_that_holds_nothing_to_mirror_is_told(tmp_path, store, keys, words, capsys):
    given = {"aws_bucket_name": "films", "aws_data_prefix": "sea"} | dict([keys.split(": ")])
    path = recipe(tmp_path, ["type: aws", *(f"{key}: {value}" for key, value in given.items())])
    assert fetch(path) == 4
    assert words in capsys.readouterr().err
    assert store.asked == []
    (tmp_path / "data/clips").mkdir(parents=True)
    (tmp_path / "data/clips/mine.mp4").write_bytes(b"mine")
    assert fetch(path) == 4
    assert "was not made by `recipe fetch`" in capsys.readouterr().err


def test_without_s3fs_it_is_said_what_to_install(tmp_path, monkeypatch, capsys):
    import fsspec

    made = []

    def filesystem(kind, **options):
        made.append((kind, options["endpoint_url"], options["client_kwargs"]))
        raise ImportError

    monkeypatch.setattr(fsspec, "filesystem", filesystem)
    assert fetch(store_recipe(tmp_path, "aws_region_name: eu-west-1")) == 4
    assert fetch(store_recipe(tmp_path)) == 4
    assert "pip install 'sana-recipes[s3]'" in capsys.readouterr().err
    assert made == [("s3", None, {"region_name": "eu-west-1"}), ("s3", None, {})]


def test_a_real_library_and_a_store_on_this_machine(tmp_path, clip_bytes, monkeypatch, capsys):
    server = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    import boto3

    for name, value in (("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("NO_PROXY", "127.0.0.1")):
        monkeypatch.setenv(name, value)
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    try:
        address = "http://{}:{}".format(*moto.get_host_and_port())
        client = boto3.client("s3", endpoint_url=address, region_name="us-east-1")
        client.create_bucket(Bucket="films")
        for name, content in (("a.mp4", clip_bytes), ("a.txt", b"a wave"), ("x/b.mp4", clip_bytes), ("x/b.txt", b"b")):
            client.put_object(Bucket="films", Key=f"sea/{name}", Body=content)
        path = store_recipe(tmp_path, f"aws_endpoint_url: {address}", "aws_region_name: us-east-1")
        assert fetch(path) == 0, capsys.readouterr().err
        assert captions(path) == {"a.mp4": "a wave", "x/b.mp4": "b"}
    finally:
        moto.stop()
