import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from contextlib import closing

import pytest

from fakes_shards import write_shard
from recipe_compiler.cli import store_facts
from recipe_compiler.cli.explain_store import _nearest
from recipe_compiler.cli.store_facts import FILE, all_facts


MANY = """
import sys
from pathlib import Path
from recipe_compiler.cli.store_facts import all_facts
print("ready", flush=True)
found = len(list(all_facts(Path(sys.argv[1]), "text")))
sys.stdin.read()
sys.exit(found != int(sys.argv[2]))
"""


def write_value(store, number, facts):
    key = f"{number % 256:02x}" + f"{number:062x}"
    path = store / "text" / key[:2] / f"{key}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"__metadata__": facts}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


@pytest.fixture
def store(tmp_path):
    for number in range(5):
        write_value(tmp_path, number, {"text": f"number {number}"})
    return tmp_path


@pytest.fixture
def headers_read(monkeypatch):
    """Keep which files were opened."""
    read, paths = store_facts.read_facts, []

    def remember(path):
        paths.append(path)
        return read(path)

    monkeypatch.setattr(store_facts, "read_facts", remember)
    return paths


def texts(store):
    return [facts["text"] for facts in all_facts(store, "text")]


def rows(store):
    with closing(sqlite3.connect(store / FILE)) as table:
        return table.execute("SELECT folder, name, facts FROM facts_1 ORDER BY folder, name").fetchall()


ALL = [f"number {number}" for number in range(5)]


def test_headers_are_read_once(store, headers_read):
    silent = store / "text" / "00" / f"{'00' * 32}x.safetensors"
    silent.write_bytes(b"")

    assert texts(store) == ALL
    assert len(headers_read) == 6
    assert texts(store) == ALL
    assert len(headers_read) == 6


def test_a_file_that_is_new_changed_or_gone_is_seen(store, headers_read):
    texts(store)
    headers_read.clear()
    first, second = (store / "text" / f"0{n}" for n in range(2))
    (gone,) = second.iterdir()
    gone.unlink()
    changed = write_value(store, 0, {"text": "number 9"})  # of the same size
    os.utime(changed, (1, 1))
    longer = write_value(store, 2, {"text": "a longer text"})
    new = write_value(store, 256, {"text": "another of the first folder"})

    assert texts(store) == ["number 9", "another of the first folder", "a longer text", "number 3", "number 4"]

    assert headers_read == [changed, new, longer]
    assert first.name == "00"
    assert [name for _, name, _ in rows(store)].count(gone.name) == 0
    assert len(rows(store)) == 5


def test_values_in_shards_are_found_beside_files_and_alone(store, tmp_path_factory):
    write_shard(store, "masks", 6)
    write_shard(store, "text", 7, 8)

    assert sorted(texts(store)) == [*ALL, "number 7", "number 8"]
    assert sorted(texts(store)) == [*ALL, "number 7", "number 8"]
    other = tmp_path_factory.mktemp("other")
    write_shard(other, "text", 7)
    assert texts(other) == ["number 7"]


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    assert list(all_facts(tmp_path / "none", "text")) == []
    assert list(all_facts(tmp_path, "text")) == []
    assert list(tmp_path.iterdir()) == []


def test_what_can_not_be_looked_at_is_passed_over(store, monkeypatch):
    listed = os.listdir

    def listdir(folder):
        if folder.name == "03":
            raise PermissionError(13, "not yours", str(folder))
        return [*listed(folder), "gone.safetensors", "notes.txt"]

    monkeypatch.setattr(os, "listdir", listdir)
    (store / "text" / "04" / "folder.safetensors").mkdir()

    assert texts(store) == ["number 0", "number 1", "number 2", "number 4"]


@pytest.mark.parametrize("content", [b"no table " * 100, b"\x00" * 4096])
def test_a_damaged_table_is_made_anew(store, content):
    texts(store)
    (store / FILE).write_bytes(content)

    assert texts(store) == ALL
    assert texts(store) == ALL

    assert len(rows(store)) == 5


@pytest.mark.parametrize("facts", ["{", None])
def test_a_table_that_holds_something_else_is_made_anew(store, facts):
    texts(store)
    with closing(sqlite3.connect(store / FILE)) as table:
        table.execute("UPDATE facts_1 SET facts = ? WHERE folder = 'text/02'", (facts,))
        table.commit()

    assert texts(store) == ALL
    assert not (store / FILE).exists()
    assert texts(store) == ALL
    assert len(rows(store)) == 5


def test_a_table_that_takes_nothing_is_removed(store):
    with closing(sqlite3.connect(store / FILE)) as table:
        table.execute("CREATE TABLE facts_1 (folder TEXT, name TEXT, size INT, mtime INT, facts TEXT CHECK (0))")

    assert texts(store) == ALL
    assert not (store / FILE).exists()


def test_pages_that_are_damaged_below_cost_only_time(store):
    for number in range(2000):
        write_value(store, number, {"text": f"number {number}"})
    whole = sorted(texts(store))
    with (store / FILE).open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 65536)

    assert sorted(texts(store)) == whole
    assert sorted(texts(store)) == whole


def test_where_no_table_can_be_made_headers_are_read(store, headers_read):
    (store / FILE).mkdir()

    assert texts(store) == ALL
    assert texts(store) == ALL
    assert len(headers_read) == 10


def test_a_table_for_reading_only_is_read_and_not_written(store, headers_read, monkeypatch):
    texts(store)
    write_value(store, 0, {"text": "something else"})
    connect = sqlite3.connect

    def for_reading(file, *, timeout):
        return connect(f"file:{file}?mode=ro", timeout=timeout, uri=True)

    monkeypatch.setattr(sqlite3, "connect", for_reading)
    headers_read.clear()

    for _ in range(2):
        assert texts(store) == ["something else", *ALL[1:]]

    assert len(headers_read) == 2


def test_a_table_that_another_holds_is_not_waited_for_forever(store, monkeypatch):
    texts(store)
    write_value(store, 0, {"text": "something else"})
    write_value(store, 1, {"text": "and this"})
    monkeypatch.setattr(store_facts, "_PATIENCE_SECONDS", 0.05)
    with closing(sqlite3.connect(store / FILE)) as other:
        for lock in ("IMMEDIATE", "EXCLUSIVE"):
            other.execute(f"BEGIN {lock}")
            assert texts(store) == ["something else", "and this", *ALL[2:]]
            other.rollback()

    assert [row[2] for row in rows(store)][:2] == ['{"text": "number 0"}', '{"text": "number 1"}']


def started(store, count):
    """Start a process that looks at everything, and waits then for the end of what it is given to read."""
    command = [sys.executable, "-c", MANY, str(store), str(count)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_several_at_once_all_see_everything(tmp_path):
    for number in range(3000):
        write_value(tmp_path, number, {"text": f"number {number}"})

    processes = [started(tmp_path, 3000) for _ in range(3)]

    for process in processes:
        process.stdin.close()
        process.stdout.read()
        process.stdout.close()
    assert [process.wait() for process in processes] == [0] * 3
    assert len(rows(tmp_path)) == 3000


def test_killed_at_any_moment_it_leaves_a_table_that_is_right(tmp_path):
    for number in range(3000):
        write_value(tmp_path, number, {"text": f"number {number}"})
    for milliseconds in (0, 5, 20, 60):
        with started(tmp_path, 3000) as process:
            process.stdout.readline()
            time.sleep(milliseconds / 1000)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL

    assert sorted(texts(tmp_path)) == sorted(f"number {number}" for number in range(3000))
    assert len(rows(tmp_path)) == 3000


def test_the_nearest_of_many_texts_is_found_without_comparing_all():
    others = {f"a picture of number {number} in green and blue, drawn by hand" for number in range(5000)}
    near = "a red disc that moves to the right over the meadow"

    begin = time.perf_counter()
    assert _nearest("a red disk that moves to the left over the meadow", {*others, near}) == near
    assert time.perf_counter() - begin < 1
    assert _nearest("一只红色的猫在草地上跑", {*others, "一只黑色的猫在草地上跑"}) == "一只黑色的猫在草地上跑"
    assert _nearest("x", others) == ""
    assert _nearest("x", ()) == ""
