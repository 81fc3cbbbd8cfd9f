"""Data sets of the hub that are streamed: their Parquet files are read over HTTP, and none of them is kept."""

import json
import os
import subprocess
import sys

import pyarrow as pa
import pytest
from huggingface_hub import constants
from pyarrow import parquet

from fakes_fetching import clip_content, fetch, findings, recipe, the
from fakes_served_sets import ServedSet
from fakes_server import Answer, serving
from recipe_compiler.data.fetched import MARKER
from recipe_compiler.fetch import hub_stream
from recipe_compiler.fetch.errors import FetchError


KEYS = ("type: huggingface", "dataset_name: me/clips", "caption_strategy: huggingface")
STREAMED = ("instance_data_dir: streamed", "streaming: true")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Serve the folder ``remote`` as a data set."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    served = ServedSet(tmp_path / "remote")
    with serving(served) as server:
        old = constants.ENDPOINT
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(old, server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield served


def write_tables(folder, *tables, unread=b"x"):
    """Write Parquet files of rows, two rows in a group."""
    folder.mkdir(exist_ok=True)
    for number, rows in enumerate(tables):
        table = pa.Table.from_pylist([{**row, "unread": unread} for row in rows])
        parquet.write_table(
            table, folder / f"{number}.parquet", row_group_size=2, compression="none", use_dictionary=False
        )


def rows(count, start=0):
    """Return rows, of clips of one name or of none; the third has no caption."""
    paths = ("a.mp4", None, "b.mov", "a.mp4")
    return [
        {"video": {"bytes": clip_content(), "path": paths[n % 4]}, "caption": None if n == 2 else f"bar {n}"}
        for n in range(start, start + count)
    ]


def held(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def hub_recipe(tmp_path, *more):
    return recipe(tmp_path, [*KEYS, *more])


def test_a_streamed_folder_equals_a_downloaded_one_and_no_parquet_file_is_kept(tmp_path, hub):
    write_tables(hub.folder, rows(5), rows(3, start=5))

    assert fetch(hub_recipe(tmp_path, *STREAMED)) == 0
    assert not (tmp_path / "cache").exists()
    assert list(tmp_path.rglob("*.parquet")) == list(hub.folder.rglob("*.parquet"))
    assert fetch(hub_recipe(tmp_path, "instance_data_dir: whole")) == 0

    streamed = held(tmp_path / "streamed")
    assert streamed == held(tmp_path / "whole")
    assert len([name for name in streamed if name.endswith((".mp4", ".mov"))]) == 8
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_columns_that_are_not_needed_are_not_read(tmp_path, hub):
    write_tables(hub.folder, rows(3), unread=os.urandom(12 << 20))

    assert fetch(hub_recipe(tmp_path, *STREAMED)) == 0

    assert (hub.folder / "0.parquet").stat().st_size > 36 << 20
    assert hub.sent["0.parquet"] < 24 << 20


def test_rows_may_name_files_of_the_data_set(tmp_path, hub):
    write_tables(hub.folder, [{"video": "films/a.mov", "caption": "a bar"}])
    (hub.folder / "films").mkdir()
    (hub.folder / "films/a.mov").write_bytes(clip_content())

    assert fetch(hub_recipe(tmp_path, *STREAMED)) == 0

    found = held(tmp_path / "streamed")
    assert {name: found[name] for name in ("a.mov", "a.txt")} == {"a.mov": clip_content(), "a.txt": b"a bar\n"}


def test_an_interrupted_fetch_goes_on_with_the_next_row_group(tmp_path, hub, capsys):
    write_tables(hub.folder, rows(4), [*rows(2, start=4), {"video": {"bytes": None, "path": "c.mp4"}, "caption": "c"}])
    path = hub_recipe(tmp_path, *STREAMED)
    assert fetch(path) == 4
    assert "hf:me/clips could not be downloaded" in capsys.readouterr().err
    assert not (tmp_path / "streamed").exists()
    (partial,) = tmp_path.glob(".streamed.*")
    there = {p.name: p.stat().st_mtime_ns for p in partial.glob("*.m*")}
    assert len(there) == 6
    (partial / ".a.mp4.part").write_bytes(b"broken off")

    hub.sent.clear()
    (hub.folder / "c.mp4").write_bytes(clip_content())
    assert fetch(path) == 0

    assert "0.parquet" not in hub.sent
    after = tmp_path / "streamed"
    assert {name: (after / name).stat().st_mtime_ns for name in there} == there
    assert fetch(hub_recipe(tmp_path, "instance_data_dir: whole")) == 0
    assert held(after) == held(tmp_path / "whole")


def test_a_data_set_that_has_changed_meanwhile_is_begun_anew(tmp_path, hub):
    write_tables(hub.folder, [*rows(2), {"video": {"bytes": None, "path": "c.mp4"}, "caption": "c"}])
    path = hub_recipe(tmp_path, *STREAMED)
    assert fetch(path) == 4

    hub.commit = "d" * 40
    write_tables(hub.folder, rows(1, start=1))
    assert fetch(path) == 0

    assert sorted(held(tmp_path / "streamed")) == [MARKER, "000001.mp4", "000001.txt"]
    assert json.loads((tmp_path / "streamed" / MARKER).read_text())["revision"] == "d" * 40


def test_notes_that_can_not_be_read_begin_anew(tmp_path, hub):
    write_tables(hub.folder, [*rows(2), {"video": {"bytes": None, "path": "c.mp4"}, "caption": "c"}])
    path = hub_recipe(tmp_path, *STREAMED)
    assert fetch(path) == 4
    (partial,) = tmp_path.glob(".streamed.*")
    (hub.folder / "c.mp4").write_bytes(clip_content())

    (partial / ".streamed.json").write_text("{")
    assert fetch(path) == 0

    assert len(list((tmp_path / "streamed").glob("*.mp4"))) == 3


@pytest.mark.parametrize(("most", "written"), [(1, 1), (2, 3), (3, 4), (9, 6)])
def test_reading_ends_when_enough_readable_clips_are_there(tmp_path, hub, most, written):
    broken = {"video": {"bytes": b"no clip", "path": None}, "caption": "x"}
    write_tables(hub.folder, [*rows(1), broken, *rows(2, start=1)], rows(2, start=3))

    path = hub_recipe(tmp_path, *STREAMED, f"max_num_samples: {most}")
    assert fetch(path) == 0

    assert len([name for name in held(tmp_path / "streamed") if name.endswith((".mp4", ".mov"))]) == written
    assert ("1.parquet" in hub.sent) == (most > 3)
    finding = the(findings(hub_recipe(tmp_path, *STREAMED)), "R301")
    assert f"the first {most}`" in finding.message


def test_one_that_broke_off_with_enough_clips_takes_no_more(tmp_path, hub, monkeypatch):
    write_tables(hub.folder, rows(5))
    path = hub_recipe(tmp_path, *STREAMED, "max_num_samples: 2")

    run = hub_stream._Stream.run

    def run_and_break_off(stream, tables, report):
        run(stream, tables, report)
        raise FetchError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(hub_stream._Stream, "run", run_and_break_off)
        assert fetch(path) == 4

    assert fetch(path) == 0

    assert len([name for name in held(tmp_path / "streamed") if name.endswith((".mp4", ".mov"))]) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PAR1 no", "`0.parquet` of me/clips can't be read ("),
        (None, "me/clips has no Parquet files that could be streamed; leave out `streaming`"),
    ],
)
def test_what_can_not_be_streamed_is_told(tmp_path, hub, capsys, content, words):
    hub.folder.mkdir()
    (hub.folder / "a.mp4").write_bytes(clip_content())
    if content is not None:
        (hub.folder / "0.parquet").write_bytes(content)

    assert fetch(hub_recipe(tmp_path, *STREAMED)) == 4

    assert words in capsys.readouterr().err
    assert not (tmp_path / "streamed").exists()


def test_a_column_that_is_not_there_is_told(tmp_path, hub, capsys):
    write_tables(hub.folder, rows(1))

    assert fetch(hub_recipe(tmp_path, *STREAMED, "huggingface: {video_column: film}")) == 4

    assert "has no column `film`; its columns are video, caption, unread" in capsys.readouterr().err


def test_a_hub_that_refuses_parts_is_told(tmp_path, hub, capsys):
    write_tables(hub.folder, rows(1))
    hub.trouble = lambda _: Answer(status=403)

    assert fetch(hub_recipe(tmp_path, *STREAMED)) == 4

    assert "hf:me/clips could not be downloaded" in capsys.readouterr().err


def test_the_hub_is_where_hf_endpoint_says(tmp_path):
    write_tables(tmp_path / "remote", rows(2))
    path = hub_recipe(tmp_path, *STREAMED)
    with serving(ServedSet(tmp_path / "remote")) as server:
        environment = {**os.environ, "HF_ENDPOINT": server.url, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "recipe_compiler", "fetch", str(path)]
        done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert "0.parquet: 1 of 1 row groups, 2 clips so far" in done.stderr
    assert sorted(held(tmp_path / "streamed")) == [MARKER, "000002.mp4", "000002.txt", "a.mp4", "a.txt"]
