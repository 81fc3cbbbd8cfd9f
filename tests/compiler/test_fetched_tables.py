"""Tables of clips, for `type: csv`: files beside them, and downloads."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fakes_fetching import captions, clip_content, fetch, findings, recipe, the
from recipe_compiler.data.fetched import MARKER
from recipe_compiler.fetch import download as downloads, manifest_clips
from recipe_compiler.pipeline import Options, compile_recipe


@pytest.fixture(scope="module")
def clip_bytes():
    return clip_content()


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


def table(tmp_path, text, *more):
    (tmp_path / "clips.csv").write_text(text, encoding="utf-8")
    return recipe(tmp_path, ["type: csv", "csv_file: clips.csv", "caption_strategy: csv", *more])


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
        ("url,caption\n,x\n", "line 2 of `clips.csv` names ``"),
        ("url,caption\ns3://b/a.mp4,x\n", "a path or an address"),
        ("url,caption\na.jpg,x\n", "no video by its ending"),
        ("url,caption\na.mp4,x\na.mp4,y\n", "lines 2 and 3 of `clips.csv` give"),
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


SPLIT = ("multiline: split", "csv_caption_weight_column: w")


def shares(path):
    """Return in which share of samples each caption of each clip is drawn."""
    survey = compile_recipe(path, Options()).survey
    ends = " motion score: 30."
    return {
        row.path: dict(zip([text.removesuffix(ends) for text in row.texts], row.shares, strict=False))
        for row in survey.rows
    }


def test_several_rows_of_a_clip_are_its_captions_with_their_weights(tmp_path, clips):
    text = f"url,caption,w\nmine/a.mp4,a bar,3\nmine/b.mp4,the other,1\n{clips}/a.mp4,a bar that moves,1\n"
    path = table(tmp_path, text, *SPLIT)
    assert fetch(path) == 0

    assert (tmp_path / "data/clips/a.txt").read_text() == "a bar\na bar that moves\n"
    assert shares(path) == {"a.mp4": {"a bar": 0.75, "a bar that moves": 0.25}, "b.mp4": {}}
    without = table(tmp_path, text, SPLIT[0])
    assert shares(without) == {"a.mp4": {}, "b.mp4": {}}
    assert captions(without)["a.mp4"] == "a bar", "all are drawn alike"


def test_weights_may_be_named_after_the_fetch(tmp_path, clips):
    assert clips.is_dir()
    text = "url,caption,w\nmine/a.mp4,a bar,1\nmine/a.mp4,a bar,2\nmine/a.mp4,the other,1\n"
    assert fetch(table(tmp_path, text, SPLIT[0])) == 0
    assert (tmp_path / "data/clips/a.txt").read_text() == "a bar\nthe other\n"

    assert shares(table(tmp_path, text, *SPLIT)) == {"a.mp4": {"a bar": 0.75, "the other": 0.25}}


def test_columns_are_joined_by_column_where_some_are_empty(tmp_path, clips):
    assert clips.is_dir()
    keys = ("csv_caption_column: [long, short, tags]", "multiline: split", "caption_weights: [6, 3, 1]")
    path = table(tmp_path, "url,long,short,tags\nmine/a.mp4,a long bar,,bar\nmine/b.mp4,the other,bar,bar 2\n", *keys)
    assert fetch(path) == 0

    found = shares(path)

    assert found["a.mp4"] == pytest.approx({"a long bar": 6 / 7, "bar": 1 / 7})
    assert found["b.mp4"] == pytest.approx({"the other": 0.6, "bar": 0.3, "bar 2": 0.1})


def test_a_caption_file_that_was_edited_has_no_weights(tmp_path, clips):
    (clips / "c.mp4").write_bytes((clips / "a.mp4").read_bytes())
    path = table(tmp_path, "url,caption,w\nmine/a.mp4,a bar,3\nmine/b.mp4,,1\n", *SPLIT)
    assert fetch(path) == 0
    (tmp_path / "data/clips/a.txt").write_text("another bar\n")
    (tmp_path / "data/clips/c.mp4").symlink_to(clips / "c.mp4")

    assert {row.path: row.reason for row in compile_recipe(path, Options()).survey.rows} == {
        "a.mp4": "`a.txt` is not what `clips.csv` says, which has its weights: correct the table, and fetch again",
        "b.mp4": "its caption is empty in line 3 of `clips.csv`",
        "c.mp4": "no row of `clips.csv` is for it",
    }


@pytest.mark.usefixtures("clips")
def test_a_wrong_weight_of_a_table_is_a_finding_and_no_fetch(tmp_path, capsys):
    path = table(tmp_path, "url,caption,w\nmine/a.mp4,a bar,-1\n", *SPLIT)

    found = the(findings(path), "R340")

    assert found.message == "line 2 of `clips.csv` gives the weight `-1`, and a number of at least 0 was expected"
    assert fetch(path) == 4
    assert "`recipe lint` says" in capsys.readouterr().err


@pytest.mark.usefixtures("clips")
def test_numbers_of_a_recipe_never_stand_for_rows_of_a_table(tmp_path):
    path = table(tmp_path, "url,caption\nmine/a.mp4,x\nmine/a.mp4,y\n", "multiline: split", "caption_weights: [1, 2]")

    found = the(findings(path), "R340")

    assert "`caption_weights` can't say how often a row is drawn" in found.message
    assert "name it in `csv_caption_weight_column`" in found.help
