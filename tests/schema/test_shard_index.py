import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from fakes_shards import some_key, some_value, write_shard
from recipe_schema import shard_index
from recipe_schema.shard_index import FILE, ShardIndex
from recipe_schema.shards import FOLDER, pack, shard_path


@pytest.fixture
def told():
    return []


@pytest.fixture
def index(tmp_path, told):
    index = ShardIndex(tmp_path, tell=told.append)
    yield index
    index.close()


def keys(*numbers):
    return {some_key(number) for number in numbers}


def held(index, *numbers, kind="text"):
    return index.held(kind, keys(*numbers))


def test_nothing_is_made_where_there_are_no_shards(tmp_path, index):
    index.open()

    assert index.find("text", some_key(1)) is None
    assert (held(index, 1), index.shards(), index.of_shard("x"), index.counts()) == (set(), [], [], {})
    index.strike("text", some_key(1))
    assert list(tmp_path.iterdir()) == []


def test_a_value_is_found_where_it_stands(tmp_path, index, told):
    path = write_shard(tmp_path, "text", 1, 2, index=index)
    write_shard(tmp_path, "masks", 3, index=index)

    place = index.find("text", some_key(1))
    assert place in index.of_shard(path.stem)
    assert (place.shard, place.facts["text"], place.parts[0].shape) == (path.stem, "number 1", (2,))
    assert index.find("masks", some_key(1)) is None
    assert held(index, 1, 2, 3) == keys(1, 2)
    assert index.counts() == {"text": 2, "masks": 1}
    assert {(shard.kind, shard.bytes) for shard in index.shards()} >= {("text", path.stat().st_size)}
    assert abs(index.shards()[0].modified - time.time()) < 100
    assert told == []


def test_many_keys_are_looked_for_at_once(tmp_path, index):
    write_shard(tmp_path, "text", *range(1200), index=index)

    assert held(index, *range(1100, 1300)) == keys(*range(1100, 1200))
    assert held(index, *range(1300)) == keys(*range(1200))


def test_what_was_written_and_not_noted_is_found_by_the_next(tmp_path, index, told):
    write_shard(tmp_path, "text", 1, index=index)
    write_shard(tmp_path, "text", 2)  # killed here
    (tmp_path / FOLDER / ".half.0123abcd").write_bytes(b"x")

    assert held(index, 1, 2) == keys(1)
    assert held(ShardIndex(tmp_path), 1, 2) == keys(1, 2)
    assert held(index, 1, 2) == keys(1, 2)
    assert told == []


def test_a_shard_that_was_removed_is_forgotten(tmp_path, index):
    path = write_shard(tmp_path, "text", 1, index=index)
    write_shard(tmp_path, "text", 2, index=index)
    path.unlink()

    assert held(index, 1) == keys(1)
    index.again(path.stem)
    assert held(index, 1, 2) == keys(2)
    shutil.rmtree(tmp_path / FOLDER)
    (tmp_path / FOLDER).mkdir()
    assert held(ShardIndex(tmp_path), 1, 2) == set()


@pytest.mark.parametrize("damage", ["gone", "text", "zeros", "pages", "row", "empty"])
def test_an_index_that_is_gone_or_damaged_is_made_anew_from_the_shards(tmp_path, index, told, damage):
    write_shard(tmp_path, "text", *range(600), index=index)
    write_shard(tmp_path, "text", 600, index=index)
    index.close()
    file = tmp_path / FILE
    if damage == "gone":
        file.unlink()
    elif damage == "pages":
        with file.open("r+b") as opened:
            opened.seek(4096)
            opened.write(b"\xff" * (file.stat().st_size - 4096))
    elif damage == "row":
        with closing(sqlite3.connect(file)) as database:
            database.execute("UPDATE value_1 SET parts = '{'")
            database.commit()
    else:
        file.write_bytes({"text": b"no index " * 1000, "zeros": b"\x00" * 8192, "empty": b""}[damage])

    assert index.find("text", some_key(3)).facts["text"] == "number 3"

    assert held(index, *range(601)) == keys(*range(601))
    assert not index.in_memory
    assert told[-1] == f"{file} was made anew from the headers of 2 shards"
    assert [("is damaged" in message) for message in told[:-1]] == [True] * (damage not in {"gone", "empty"})
    assert held(ShardIndex(tmp_path, tell=told.append), 600) == keys(600)
    assert len(told) <= 2


def test_an_index_of_another_layout_stays_and_is_no_index(tmp_path, index, told):
    write_shard(tmp_path, "text", 1)
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("CREATE TABLE value_0 (key TEXT)")
        database.commit()

    assert held(index, 1) == keys(1)
    assert told == [f"{tmp_path / FILE} was made anew from the headers of 1 shard"]
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        assert database.execute("SELECT * FROM value_0").fetchall() == []


def test_an_index_that_is_deleted_while_a_process_writes_is_made_anew(tmp_path, index):
    write_shard(tmp_path, "text", 1, index=index)
    (tmp_path / FILE).unlink()
    write_shard(tmp_path, "text", 2, index=index)

    assert held(ShardIndex(tmp_path), 1, 2) == keys(1, 2)


def test_where_the_index_can_not_be_used_headers_are_read_and_what_others_add_is_seen(tmp_path, index, told):
    (tmp_path / FILE).mkdir()
    first = write_shard(tmp_path, "text", 1, index=index)

    assert held(index, 1) == keys(1)
    assert index.in_memory
    assert "can't be used (unable to open database file); the headers of shards are read instead" in told[0]
    write_shard(tmp_path, "text", 2, index=ShardIndex(tmp_path, tell=told.append))
    assert held(index, 1, 2) == keys(1, 2)
    index.strike("text", some_key(1))
    assert held(index, 1, 2) == keys(2)
    first.unlink()
    shutil.rmtree(tmp_path / FOLDER)
    assert held(index, 1, 2) == set()


def test_an_index_for_reading_only_is_read_and_where_it_is_old_left(tmp_path, index, told, monkeypatch):
    write_shard(tmp_path, "text", 1, index=index)
    index.close()
    connect = sqlite3.connect

    def for_reading(file, **more):
        where = file if file == ":memory:" else f"file:{file}?mode=ro"
        return connect(where, uri=True, **more)

    monkeypatch.setattr(sqlite3, "connect", for_reading)
    assert held(index, 1) == keys(1)
    assert not index.in_memory
    index.close()
    write_shard(tmp_path, "text", 2)

    assert held(index, 1, 2) == keys(1, 2)
    assert index.in_memory
    assert "readonly database" in told[0]


def test_a_damaged_index_that_can_not_be_removed_is_left(tmp_path, index, told, monkeypatch):
    write_shard(tmp_path, "text", 1)
    (tmp_path / FILE).write_bytes(b"no index " * 1000)

    def refuse(*_, **__):
        raise PermissionError

    monkeypatch.setattr(type(tmp_path), "unlink", refuse)

    assert held(index, 1) == keys(1)
    assert index.in_memory
    assert len(told) == 2


def test_what_fails_in_memory_as_well_is_no_answer(tmp_path, index, monkeypatch):
    write_shard(tmp_path, "text", 1)
    index.in_memory = True

    def fail(*_):
        raise sqlite3.OperationalError("out of memory")

    monkeypatch.setattr(shard_index, "held_keys", fail)
    with pytest.raises(sqlite3.OperationalError):
        held(index, 1)


def test_another_process_that_holds_the_index_is_waited_for_and_not_forever(tmp_path, index, told, monkeypatch):
    write_shard(tmp_path, "text", 1, index=index)
    index.close()
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        threading.Timer(0.3, lambda: other.execute("ROLLBACK")).start()
        assert held(index, 1) == keys(1)
        assert not index.in_memory
        index.close()
        monkeypatch.setattr(shard_index, "_PATIENCE_SECONDS", 0.05)
        other.execute("BEGIN EXCLUSIVE")
        assert held(index, 1) == keys(1)

    assert index.in_memory
    assert "database is locked" in told[0]


def test_a_shard_that_was_cut_short_keeps_what_is_whole(tmp_path, index, told):
    path = write_shard(tmp_path, "text", *range(10), index=index)
    index.close()
    content = path.read_bytes()
    path.write_bytes(content[:-15])

    assert len(held(index, *range(10))) == 8
    assert (
        f"{path} has {len(content) - 15:,} bytes where its header says {len(content):,}; 2 of its 10 values" in told[0]
    )
    index.close()
    assert len(held(index, *range(10))) == 8
    assert len(told) == 1, "it is told once"
    path.write_bytes(content)
    index.close()
    assert len(held(index, *range(10))) == 10


@pytest.mark.parametrize("content", [b"", b"x" * 2000])
def test_a_shard_that_can_not_be_read_counts_for_nothing(tmp_path, index, told, content):
    path = write_shard(tmp_path, "text", 1, index=index)
    write_shard(tmp_path, "text", 2, index=index)
    index.close()
    path.write_bytes(content)

    assert held(index, 1, 2) == keys(2)
    assert told == [f"{path} can't be read (its header can't be read); its values count as missing"]
    assert {shard.kind for shard in index.shards()} == {"", "text"}


def test_a_shard_that_vanishes_while_it_is_looked_at_is_passed_over(tmp_path, index, monkeypatch):
    path = write_shard(tmp_path, "text", 1)
    read = shard_index.read_shard

    def vanish(path):
        path.unlink()
        return read(path)

    monkeypatch.setattr(shard_index, "read_shard", vanish)
    assert held(index, 1) == set()
    assert index.shards() == []
    assert not path.exists()
    index.add(path.stem)
    assert index.shards() == []


def test_of_a_value_in_two_shards_the_newer_counts_in_whichever_order_they_are_read(tmp_path, index):
    old = write_shard(tmp_path, "text", 1, 2, index=index)
    os.utime(old, (1, 1))
    new = write_shard(tmp_path, "text", 1, index=index, made="again")

    assert index.find("text", some_key(1)).shard == new.stem
    index.again(old.stem)
    assert index.find("text", some_key(1)).shard == new.stem
    assert [place.key for place in index.of_shard(old.stem)] == [some_key(2)]
    (tmp_path / FILE).unlink()
    again = ShardIndex(tmp_path)
    assert again.find("text", some_key(1)).shard == new.stem
    new.unlink()
    assert ShardIndex(tmp_path).find("text", some_key(1)) is None  # until its header is read again
    again.again(old.stem)
    assert again.find("text", some_key(1)).shard == old.stem


def test_a_value_that_was_struck_stays_so(tmp_path, index):
    write_shard(tmp_path, "text", 1, 2, index=index)
    index.strike("text", some_key(1))

    assert held(index, 1, 2) == keys(2)
    index.strike("text", some_key(1))
    assert held(ShardIndex(tmp_path), 1, 2) == keys(2)


def test_a_value_that_was_struck_from_a_shard_that_changed_stays_so(tmp_path, index):
    path = write_shard(tmp_path, "text", 1, 2, index=index)
    os.utime(path, (1, 1))
    index.strike("text", some_key(1))
    assert held(ShardIndex(tmp_path), 1, 2) == keys(2)

    path.unlink()
    index.strike("text", some_key(2))
    assert held(index, 2) == set()


def test_a_listing_that_is_old_takes_nothing_out(tmp_path, index, monkeypatch):
    write_shard(tmp_path, "text", 1, index=index)
    index.close()
    monkeypatch.setattr(os, "listdir", lambda _: [])

    assert held(index, 1) == keys(1)


def test_notes_go_to_stderr_where_nobody_else_hears_them(tmp_path, capsys):
    write_shard(tmp_path, "text", 1)

    assert held(ShardIndex(tmp_path), 1) == keys(1)

    assert capsys.readouterr().err == f"note: {tmp_path / FILE} was made anew from the headers of 1 shard\n"


WRITER = """
import sys
from pathlib import Path
from fakes_shards import write_shard
from recipe_schema.shard_index import ShardIndex
index = ShardIndex(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    write_shard(Path(sys.argv[1]), "text", number, index=index)
    print(number, flush=True)
"""


def start(store, first, last):
    paths = os.pathsep.join([*sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store), str(first), str(last)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )


def test_several_processes_write_at_once_and_all_is_there(tmp_path, index, told):
    writers = [start(tmp_path, first, first + 40) for first in (0, 40, 20)]
    for writer in writers:
        writer.communicate()

    assert [writer.returncode for writer in writers] == [0] * 3
    assert held(index, *range(80)) == keys(*range(80))
    assert told == []
    assert index.counts() == {"text": 80}


def test_killed_at_any_moment_a_writer_leaves_what_it_wrote(tmp_path, told):
    for attempt, milliseconds in enumerate((0, 3, 10, 30, 50)):
        first = 1000 * attempt
        with start(tmp_path, first, first + 1000) as writer:
            writer.stdout.readline()
            time.sleep(milliseconds / 1000)
            writer.send_signal(signal.SIGKILL)
            written = [first, *map(int, writer.stdout.read().split())]
        assert held(ShardIndex(tmp_path, tell=told.append), *written) == keys(*written)

    assert not [message for message in told if "damaged" in message or "can't be used" in message]
    files = list((tmp_path / FOLDER).glob("*.safetensors"))
    assert sorted(shard.name for shard in ShardIndex(tmp_path).shards()) == sorted(file.stem for file in files)


def test_a_transaction_that_fails_changes_nothing(tmp_path, index, monkeypatch):
    write_shard(tmp_path, "text", 1, index=index)
    name, content = pack("text", [some_value(2)])
    shard_path(tmp_path, name).write_bytes(content)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("recipe_schema.shard_tables._parts", interrupted)
        with pytest.raises(KeyboardInterrupt):
            index.add(name)

    assert held(index, 1, 2) == keys(1)
    index.add(name)
    assert held(index, 1, 2) == keys(1, 2)
