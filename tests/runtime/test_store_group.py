import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from fakes_store import as_files, damage_value, lose_value, shard_files, stored_values
from fakes_training import encoded_project, same_bits, saved_parts
from recipe_runtime import store_group, train
from recipe_runtime.errors import StoreError
from recipe_runtime.stop import StopRequested
from recipe_runtime.store import Store, content_key
from recipe_runtime.store_group import LARGE_BYTES, Group
from recipe_schema.shard_index import FILE
from recipe_schema.shards import FOLDER


ROOT = Path(__file__).parents[2]
KEYS = [content_key({"value": number}) for number in range(20)]


def values(number):
    return {
        "x": torch.arange(6.0).view(2, 3) + number,
        "y": torch.full((3,), number, dtype=torch.bfloat16),
        "z": torch.tensor(number),
        "none": torch.zeros(0, 4, dtype=torch.float16),
        "flag": torch.tensor([True, False]),
    }


def fill(store, numbers, kind="text"):
    with Group(store, kind) as group:
        for number in numbers:
            group.add(KEYS[number], values(number), {"text": f"number {number}"})


def same(found, number):
    expected = values(number)
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], tensor) and (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        for name, tensor in expected.items()
    )


@pytest.mark.parametrize("compress", [False, True])
def test_values_of_a_group_come_back_as_they_were_from_one_file(tmp_path, compress):
    store = Store(tmp_path / "store", compress=compress)
    fill(store, range(10))

    for place in (store, Store(tmp_path / "store", compress=not compress)):
        assert all(same(place.read("text", KEYS[number]), number) for number in range(10))
        assert place.missing("text", KEYS) == set(KEYS[10:])
        assert not place.has("masks", KEYS[0])
    assert len(shard_files(store.folder)) == 1
    facts = stored_values(store.folder)["text", KEYS[3]]
    assert facts["text"] == "number 3"
    assert ("zstd" in facts) == compress
    with pytest.raises(StoreError, match=f"{KEYS[11]}.safetensors is missing"):
        store.read("text", KEYS[11])


def test_a_shard_is_a_safetensors_file_that_others_read(tmp_path):
    store = Store(tmp_path)
    fill(store, [1, 2])

    with safe_open(shard_files(tmp_path)[0], framework="pt") as file:
        assert file.metadata()["kind"] == "text"
        assert set(file.keys()) == {f"{KEYS[number]}/{name}" for number in (1, 2) for name in values(0)}
        assert all(
            torch.equal(file.get_tensor(f"{KEYS[number]}/{name}"), tensor)
            for number in (1, 2)
            for name, tensor in values(number).items()
        )


def test_equal_groups_are_equal_files(tmp_path):
    fill(Store(tmp_path / "a"), [1, 2, 3])
    fill(Store(tmp_path / "b"), [3, 1, 2])

    (one,), (two,) = shard_files(tmp_path / "a"), shard_files(tmp_path / "b")
    assert (one.name, one.read_bytes()) == (two.name, two.read_bytes())


def test_a_large_value_has_a_file_of_its_own_at_once(tmp_path):
    store = Store(tmp_path)
    with Group(store, "latents") as group:
        group.add(KEYS[0], {"x": torch.zeros(LARGE_BYTES, dtype=torch.uint8)}, {})
        assert store.path("latents", KEYS[0]).exists()
        group.add(KEYS[1], {"x": torch.zeros(LARGE_BYTES - 1, dtype=torch.uint8)}, {})
        assert KEYS[1] in group
        assert not store.has("latents", KEYS[1])

    assert store.missing("latents", KEYS[:2]) == set()
    assert len(shard_files(tmp_path)) == 1


@pytest.mark.parametrize(("limit", "most"), [("GROUP_VALUES", 3), ("GROUP_BYTES", 150), ("GROUP_SECONDS", 0)])
def test_a_group_is_written_when_it_is_large_or_old_enough(tmp_path, monkeypatch, limit, most):
    monkeypatch.setattr(store_group, limit, most)
    commits = []
    store = Store(tmp_path)
    with Group(store, "text", committed=lambda: commits.append(store.missing("text", KEYS[:7]))) as group:
        for number in range(7):
            group.add(KEYS[number], values(number), {})

    assert commits[-1] == set()
    assert len(commits) > 2
    assert len({len(missing) for missing in commits[:-1]}) == len(commits) - 1


def test_a_value_may_be_changed_after_it_was_added(tmp_path):
    store, tensor = Store(tmp_path), torch.ones(4)
    with Group(store, "text") as group:
        group.add(KEYS[0], {"x": tensor}, {})
        tensor.zero_()

    assert store.read("text", KEYS[0])["x"].eq(1).all()


def fails_after_two(store):
    with Group(store, "text") as group:
        for number in range(2):
            group.add(KEYS[number], values(number), {})
        raise KeyError("something else")


def test_what_was_added_before_an_error_is_kept(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(KeyError, match="something else"):
        fails_after_two(store)

    assert store.missing("text", KEYS[:2]) == set()


def test_the_first_error_counts_where_the_group_can_not_be_written_either(tmp_path):
    (tmp_path / FOLDER).write_text("")
    with pytest.raises(KeyError, match="something else"):
        fails_after_two(Store(tmp_path))
    with pytest.raises(StoreError, match=r"shards/.*safetensors can't be written: .*make room or correct the rights"):
        fill(Store(tmp_path), [1])


def test_a_full_disk_leaves_nothing_half_and_the_group_waits(tmp_path, monkeypatch):
    store = Store(tmp_path)
    fill(store, [0])
    fsync = os.fsync

    def full(_handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    group = Group(store, "text")
    group.add(KEYS[1], values(1), {})
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        group.commit()
    monkeypatch.setattr(os, "fsync", fsync)

    assert len(group) == 1
    assert not store.has("text", KEYS[1])
    assert len(list((tmp_path / FOLDER).iterdir())) == 1
    group.commit()
    assert same(store.read("text", KEYS[1]), 1)


@pytest.mark.parametrize("compress", [False, True])
def test_a_damaged_value_is_named_counts_as_missing_and_is_encoded_again(tmp_path, compress):
    store = Store(tmp_path, compress=compress)
    fill(store, range(3))
    path = damage_value(store, "text", KEYS[1])

    with pytest.raises(
        StoreError, match=rf"{path.name} is damaged: its value text {KEYS[1][:12]}.*run the same command"
    ):
        store.read("text", KEYS[1])

    again = Store(tmp_path)
    assert again.missing("text", KEYS[:3]) == {KEYS[1]}
    assert same(again.read("text", KEYS[0]), 0)
    fill(again, [1])
    (tmp_path / FILE).unlink()
    assert all(same(Store(tmp_path).read("text", KEYS[number]), number) for number in range(3))


def test_every_flipped_bit_is_noticed(tmp_path):
    store = Store(tmp_path)
    fill(store, [1])
    place = store.index.find("text", KEYS[1])
    (path,) = shard_files(tmp_path)
    content = path.read_bytes()

    for byte in range(place.start, place.start + place.bytes):
        path.write_bytes(content[:byte] + bytes([content[byte] ^ 1]) + content[byte + 1 :])
        with pytest.raises(StoreError, match="is damaged"):
            store.read("text", KEYS[1])
        store.index.again(path.stem)
    path.write_bytes(content)
    assert same(store.read("text", KEYS[1]), 1)


@pytest.mark.parametrize("left", [-1, 40, 0])
def test_of_a_shard_that_was_cut_short_what_is_lost_is_encoded_again(tmp_path, left):
    store = Store(tmp_path, tell=lambda _: None)
    fill(store, range(5))
    (path,) = shard_files(tmp_path)
    last = max((store.index.find("text", key) for key in KEYS[:5]), key=lambda place: place.start)
    path.write_bytes(path.read_bytes()[:left])

    with pytest.raises(StoreError, match="is damaged: its value"):
        store.read("text", last.key)

    again = Store(tmp_path, tell=lambda _: None)
    lost = {last.key} if left == -1 else set(KEYS[:5])
    assert again.missing("text", KEYS[:5]) == lost
    fill(again, [KEYS.index(key) for key in lost])
    assert all(same(again.read("text", KEYS[number]), number) for number in range(5))


def change_index(store, change):
    store.index.close()
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(store.folder / FILE)) as database:
        database.execute(change)
        database.commit()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE value_1 SET start = start + 1",
        "UPDATE value_1 SET bytes = bytes - 1",
        "UPDATE value_1 SET bytes = -1",
        "UPDATE value_1 SET parts = replace(parts, 'F32', 'F31')",
        "UPDATE value_1 SET facts = '{}'",
        "UPDATE value_1 SET parts = replace(parts, '[2, 3]', '[3, 2]')",
    ],
)
def test_an_index_that_is_wrong_takes_no_value_for_damaged(tmp_path, change):
    store = Store(tmp_path)
    fill(store, [1, 2])
    change_index(store, change)

    assert same(store.read("text", KEYS[1]), 1)
    assert same(Store(tmp_path).read("text", KEYS[2]), 2)


def test_a_shard_that_was_written_anew_meanwhile_is_found(tmp_path):
    store = Store(tmp_path)
    fill(store, [1, 2])
    (old,) = shard_files(tmp_path)
    place = store.index.find("text", KEYS[1])
    fill(Store(tmp_path), [1])
    old.unlink()

    found = store.index.find
    first = [place]
    store.index.find = lambda kind, key: first.pop() if first else found(kind, key)
    assert same(store.read("text", KEYS[1]), 1)
    with pytest.raises(StoreError, match="is missing though it was there"):
        store.read("text", KEYS[2])


def test_where_the_index_can_not_be_written_a_damaged_shard_is_to_be_deleted(tmp_path):
    (tmp_path / FILE).mkdir()
    told = []
    store = Store(tmp_path, tell=told.append)
    fill(store, [1])
    path = damage_value(store, "text", KEYS[1])

    with pytest.raises(StoreError, match=f"does not match its checksum; delete {path}, and run the same command"):
        store.read("text", KEYS[1])
    assert len(told) == 1


def test_a_shard_for_which_there_are_no_rights_is_named(tmp_path, monkeypatch):
    store = Store(tmp_path)
    fill(store, [1])
    (path,) = shard_files(tmp_path)
    plain = type(path).open

    def refuse(self, *arguments, **more):
        if self == path:
            raise PermissionError(13, "Permission denied", str(path))
        return plain(self, *arguments, **more)

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(StoreError, match=r"can't be read: .*Permission denied.*correct its rights or its disk"):
        store.read("text", KEYS[1])
    assert store.has("text", KEYS[1]), "it is not damaged"


def test_a_store_of_files_is_read_and_counted_and_stays_as_it_is(tmp_path):
    store = Store(tmp_path)
    for number in range(3):
        store.write("text", KEYS[number], values(number), {})
    assert not (tmp_path / FILE).exists()

    fill(store, range(2, 5))

    assert store.missing("text", KEYS[:6]) == {KEYS[5]}
    assert all(same(Store(tmp_path).read("text", KEYS[number]), number) for number in range(5))
    assert len(list((tmp_path / "text").rglob("*.safetensors"))) == 3
    lose_value(store, "text", KEYS[2])
    assert store.missing("text", KEYS[:3]) == {KEYS[2]}


def test_a_run_gives_the_same_bits_from_shards_and_from_files(tmp_path):
    parts = []
    for name in ("shards", "files"):
        settings = {"data.store_dir": "store", "max_steps": 2, "prompts": ()}
        project, ctx, _ = encoded_project(tmp_path / name, **settings)
        if name == "files":
            ctx.store.folder.rename(project.root / "before")
            as_files(Store(project.root / "before"), ctx.store.folder)
            ctx.store.index.close()
            assert not shard_files(ctx.store.folder)
        train.run(ctx, StopRequested())
        parts.append(saved_parts(ctx.run_dir, 2))

    assert same_bits(*parts)


WRITER = """
import sys, torch
from pathlib import Path
from recipe_runtime import store_group
from recipe_runtime.store import Store, content_key
store_group.GROUP_VALUES = 3
with store_group.Group(Store(Path(sys.argv[1])), "text") as group:
    for number in range(int(sys.argv[2]), int(sys.argv[3])):
        group.add(content_key({"value": number}), {"x": torch.full((1000,), float(number))}, {"text": str(number)})
        print(number, flush=True)
"""


def start(folder, first, last):
    paths = os.pathsep.join(str(ROOT / name) for name in ("schema", "runtime"))
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(first), str(last)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_kill_loses_no_more_than_the_group_at_work(tmp_path):
    told = []
    for attempt, milliseconds in enumerate((0, 5, 20, 40)):
        first = 10_000 * attempt
        with start(tmp_path, first, first + 10_000) as writer:
            writer.stdout.readline()
            time.sleep(milliseconds / 1000)
            writer.send_signal(signal.SIGKILL)
            added = [first, *map(int, writer.stdout.read().split())]
        store = Store(tmp_path, tell=told.append)
        there = [number for number in added if store.has("text", content_key({"value": number}))]
        assert there == added[: len(there)]
        assert len(added) - len(there) <= 3
        assert all(store.read("text", content_key({"value": number}))["x"].eq(number).all() for number in there)
    assert told == []


def test_two_processes_that_write_the_same_values_do_no_harm(tmp_path):
    writers = [start(tmp_path, 0, 60) for _ in range(2)]
    for writer in writers:
        writer.communicate()

    assert [writer.returncode for writer in writers] == [0, 0]
    store = Store(tmp_path)
    assert all(store.read("text", content_key({"value": number}))["x"].eq(number).all() for number in range(60))
    assert store.index.counts() == {"text": 60}
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE, FOLDER]
