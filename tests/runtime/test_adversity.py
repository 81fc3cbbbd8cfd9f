"""What can go wrong around a run: full disks, files that vanish, processes that write the same value or wait for each other."""

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from fakes_runtime import make_context, make_project
from fakes_store import shard_files, stored_values
from fakes_training import batch_maker, encoded_project
from recipe_runtime import encode_video
from recipe_runtime.__main__ import main
from recipe_runtime.batches import prefetch
from recipe_runtime.clip import ClipReader
from recipe_runtime.errors import MediaError, StoreError
from recipe_runtime.stop import StopRequested
from recipe_runtime.store import Store, content_key
from recipe_runtime.store_group import Group


ROOT = Path(__file__).parents[2]


def environment():
    paths = os.pathsep.join(str(ROOT / name) for name in ("schema", "runtime"))
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def limit_files():
    """Let files of this process have no more than 4 kB, as a quota would."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def test_a_quota_that_is_used_up_is_one_sentence_and_the_same_command_goes_on_with_more_room(tmp_path):
    project = make_project(tmp_path)
    command = [sys.executable, "-m", "recipe_runtime", str(project.plan_dir), "--encode", "--quiet"]

    full = subprocess.run(
        command, env=environment(), check=False, capture_output=True, text=True, preexec_fn=limit_files
    )

    assert full.returncode == 4
    last = full.stderr.strip().splitlines()[-1]
    assert "can't be written: " in last
    assert os.strerror(errno.EFBIG) in last
    assert "make room or correct the rights, and run the same command again" in last
    assert "Traceback" not in full.stderr
    left = [path for path in (project.root / "store").rglob("*") if path.is_file()]
    assert {path.name for path in left} <= {"index.sqlite"}, "nothing half, no claim, no leftover"

    again = subprocess.run(command, env=environment(), check=False, capture_output=True, text=True)

    assert again.returncode == 0, again.stderr
    assert len(stored_values(project.root / "store")) == 4 + 6
    assert len(shard_files(project.root / "store")) == 2


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 256 kB; only root may have one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if not sys.platform.startswith("linux") or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_takes_no_half_value_and_all_that_fit_are_whole(small_disk):
    store, keys = Store(small_disk), [content_key({"value": number}) for number in range(20)]

    def fill():
        for number, key in enumerate(keys):
            store.write("latents", key, {"latents": torch.full((8192,), float(number))}, {})

    with pytest.raises(StoreError, match=r"No space left on device.*make room") as failed:
        fill()

    there = [key for key in keys if store.has("latents", key)]
    assert 3 < len(there) < 20
    assert keys[len(there)] in str(failed.value)
    for number, key in enumerate(there):
        assert store.read("latents", key)["latents"].eq(number).all()
    files = [path for path in small_disk.rglob("*") if path.is_file()]
    assert len(files) == len(there), "the half of a value is gone"
    store.path("latents", there[0]).unlink()
    store.write("latents", keys[-1], {"latents": torch.zeros(4096)}, {})
    assert store.has("latents", keys[-1])


def test_a_full_disk_takes_no_half_group_and_what_is_there_is_whole(small_disk, monkeypatch):
    monkeypatch.setattr("recipe_runtime.store_group.GROUP_VALUES", 2)
    told = []
    store, keys = Store(small_disk, tell=told.append), [content_key({"value": number}) for number in range(20)]

    def fill():
        with Group(store, "latents") as group:
            for number, key in enumerate(keys):
                group.add(key, {"latents": torch.full((6000,), float(number))}, {})

    with pytest.raises(StoreError, match=r"No space left on device.*make room"):
        fill()

    again = Store(small_disk, tell=told.append)
    there = [key for key in keys if key not in again.missing("latents", keys)]
    assert there == keys[: len(there)]
    assert 2 < len(there) < 20
    assert all(again.read("latents", key)["latents"].eq(number).all() for number, key in enumerate(there))
    assert len(list(small_disk.rglob("*.safetensors"))) == len(there) / 2
    assert not list((small_disk / "shards").glob(".*")), "the half of a shard is gone"
    shard_files(small_disk)[0].unlink()
    shard_files(small_disk)[0].unlink()
    with Group(Store(small_disk, tell=told.append), "latents") as group:
        group.add(keys[-1], {"latents": torch.zeros(4096)}, {})
    assert Store(small_disk).has("latents", keys[-1])


WRITER = """
import sys, torch
from pathlib import Path
from recipe_runtime.store import Store
for _ in range(40):
    Store(Path(sys.argv[1])).write("latents", sys.argv[2], {"latents": torch.arange(60000.0)}, {})
"""


def test_processes_that_write_the_same_value_at_once_do_no_harm(tmp_path):
    key, store = content_key({"one": "value"}), Store(tmp_path)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), key], env=environment()) for _ in range(2)
    ]
    reads = 0
    deadline = time.monotonic() + 120
    while any(writer.poll() is None for writer in writers):
        assert time.monotonic() < deadline
        if store.has("latents", key):
            assert store.read("latents", key)["latents"][-1] == 59999
            reads += 1

    assert [writer.returncode for writer in writers] == [0, 0]
    assert reads > 3
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{key}.safetensors"]


@pytest.mark.parametrize(("change", "words"), [("gone", "is gone"), ("other", "bytes where the plan has")])
def test_a_clip_that_was_replaced_or_removed_after_planning_is_refused_before_anything_is_encoded(
    tmp_path, change, words, capsys
):
    project = make_project(tmp_path)
    clip = project.root / "clips/sub/d.mp4"
    clip.unlink() if change == "gone" else clip.write_bytes(clip.read_bytes() + b"more")

    assert main([str(project.plan_dir), "--encode", "--quiet"]) == 3

    assert words in capsys.readouterr().err
    assert not (project.root / "store").exists()


def test_a_clip_that_vanishes_while_others_are_encoded_is_named_and_the_others_are_kept(tmp_path, monkeypatch):
    project = make_project(tmp_path)
    ctx = make_context(project)
    plain = ClipReader.read

    def read(reader, path, row):
        if path.name == "b.mp4":
            path.unlink()
        return plain(reader, path, row)

    monkeypatch.setattr(ClipReader, "read", read)
    with pytest.raises(MediaError, match=r"b.mp4 can't be decoded: .*No such file.*plan anew"):
        encode_video.run(ctx, StopRequested())

    index = encode_video.latent_index(ctx)
    assert [ctx.store.has("latents", index[row.clip_id]) for row in ctx.rows] == [True, False, False, False]
    assert not list(ctx.store.folder.rglob(".*.claim"))


def test_the_next_clip_is_decoded_while_one_is_encoded(tmp_path, monkeypatch):
    ctx = make_context(make_project(tmp_path))
    plain_read, plain_encode = ClipReader.read, encode_video.encode
    begun, overlaps = [], []
    second = threading.Event()

    def read(reader, path, row):
        begun.append(path.name)
        if len(begun) == 2:
            second.set()
        return plain_read(reader, path, row)

    def encode(vae, pixels):
        overlaps.append(second.wait(timeout=20))  # for ever, if nothing is decoded meanwhile
        return plain_encode(vae, pixels)

    monkeypatch.setattr(ClipReader, "read", read)
    monkeypatch.setattr(encode_video, "encode", encode)
    encode_video.run(ctx, StopRequested())

    assert overlaps == [True] * 4
    assert len(begun) == 4


def test_a_step_finds_its_batch_ready(tmp_path):
    """Reading takes less than a step, so training waits for the store before its first step alone."""
    _, ctx, _ = encoded_project(tmp_path, max_steps=12)
    maker, waits = batch_maker(ctx), []
    reading = time.perf_counter()
    maker.make(0)
    step_seconds = 20 * (time.perf_counter() - reading) + 0.05
    batches = prefetch(maker.make, range(12))
    for _ in range(12):
        begin = time.perf_counter()
        next(batches)
        waits.append(time.perf_counter() - begin)
        time.sleep(step_seconds)  # the step

    assert sorted(waits[1:])[len(waits) // 2] < 0.05 * step_seconds
