"""Several real processes fill one store."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fakes_runtime import Clip, make_context, make_project
from fakes_store import stored_values
from recipe_runtime import encode_text, encode_video
from recipe_runtime.__main__ import main
from recipe_runtime.claim import Claims
from recipe_runtime.encode_queue import Worker, claim_path, read_worker
from recipe_runtime.stop import StopRequested
from recipe_runtime.store import Store
from recipe_runtime.store_group import Group
from recipe_schema.events import StageProgress


ROOT = Path(__file__).parents[2]
MANY = tuple(Clip(name=f"{index:02}.mp4", caption=f"disc number {index}") for index in range(12))


def start(project, *more, slow=0.0, group=3):
    """Start a process that encodes; ``slow`` is how long each of its values takes, in seconds, and ``group`` how many are written at once."""
    script = (
        "import sys, time\n"
        "from recipe_runtime import store_group\n"
        "from recipe_runtime.__main__ import main\n"
        f"store_group.GROUP_VALUES = {group}\n"
        "plain = store_group.Group.add\n"
        "def add(*arguments):\n"
        f"    time.sleep({slow})\n"
        "    plain(*arguments)\n"
        "    print(arguments[1], flush=True)\n"
        "store_group.Group.add = add\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    paths = os.pathsep.join(str(ROOT / name) for name in ("schema", "runtime"))
    return subprocess.Popen(
        [sys.executable, "-c", script, str(project.plan_dir), "--encode", "--quiet", *more],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("group", [1, 3])
def test_three_workers_one_of_them_killed_make_what_one_makes(tmp_path, group):
    alone = make_context(make_project(tmp_path / "alone", clips=MANY))
    encode_text.run(alone, StopRequested())
    encode_video.run(alone, StopRequested())
    project = make_project(tmp_path / "shared", clips=MANY)
    expected = stored_values(alone.store.folder)

    victim = start(project, "--worker", "3/3", slow=0.3, group=group)
    others = [start(project, "--worker", f"{number}/3", slow=0.1, group=group) for number in (1, 2)]
    first = victim.stdout.readline()
    time.sleep(0.1)  # it holds a claim by now, and has not written what the claim is for
    victim.send_signal(signal.SIGKILL)
    by_victim = [first.strip(), *victim.communicate()[0].split()]
    outputs = [worker.communicate(timeout=120) for worker in others]

    assert [worker.returncode for worker in (victim, *others)] == [-signal.SIGKILL, 0, 0], outputs
    assert stored_values(project.root / "store") == expected
    written = [key for out, _ in outputs for key in out.split()]
    assert all(out.split() for out, _ in outputs)
    assert len(written) == len(set(written))
    assert len({*written, *by_victim}) == len(expected)
    assert not list((project.root / "store").rglob(".*.claim"))


@pytest.mark.slow
def test_workers_take_their_share_and_nothing_twice(tmp_path):
    project = make_project(tmp_path, clips=MANY)

    workers = [start(project, "--worker", f"{number}/2", slow=0.2) for number in (1, 2)]
    outputs = [worker.communicate(timeout=120) for worker in workers]

    assert [worker.returncode for worker in workers] == [0, 0], outputs
    written = [key for out, _ in outputs for key in out.split()]
    assert len(written) == len(set(written)) == len(stored_values(project.root / "store"))
    assert not (project.root / "runs").exists()


def test_a_plan_for_one_process_is_removed_and_what_is_encoded_is_there_for_a_run(tmp_path):
    project = make_project(tmp_path, clips=MANY[:2], max_steps=1)
    copy = tmp_path / "copy"
    shutil.copytree(project.plan_dir, copy)

    assert main([str(copy), "--encode", "--quiet", "--discard-plan"]) == 0
    before = stored_values(project.root / "store")
    assert main([str(project.plan_dir), "--run-dir", str(project.run_dir), "--quiet"]) == 0

    assert not copy.exists()
    assert len(before) == 2 + 4
    assert stored_values(project.root / "store") == before


def test_encoding_needs_no_transformer(tmp_path):
    project = make_project(tmp_path, clips=MANY[:1])
    shutil.rmtree(project.root / "models/tiny/transformer")

    assert main([str(project.plan_dir), "--encode", "--quiet"]) == 0


def test_a_worker_does_its_own_share_first(tmp_path):
    ctx = make_context(make_project(tmp_path, clips=MANY))
    written = []
    plain = Group.add

    ctx = replace(ctx, worker=Worker(number=2, of=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Group, "add", lambda self, key, *more: (written.append(key), plain(self, key, *more)))
        encode_text.run(ctx, StopRequested())

    keys = [item.key for item in encode_text.text_items(ctx)]
    assert written == [*keys[1::3], *(key for index, key in enumerate(keys) if index % 3 != 1)]


def test_what_another_process_finishes_is_waited_for_and_counted(tmp_path, monkeypatch):
    events = []
    ctx = make_context(make_project(tmp_path), [events.append])
    items = encode_text.text_items(ctx)
    claim = claim_path(ctx.store.path("text", items[0].key))
    with Claims() as theirs:
        assert theirs.take(claim)
        waits = []

        def wait(_seconds):
            waits.append(ctx.store.missing("text", [item.key for item in items]))
            assert list(ctx.store.folder.rglob(".*.claim")) == [claim]
            if len(waits) == 2:
                with Group(Store(ctx.store.folder), "text") as group:
                    group.add(items[0].key, {"embeds": torch.ones(1, 32)}, {})
                theirs.release(claim)

        monkeypatch.setattr("recipe_runtime.encode_queue.time.sleep", wait)
        encode_text.run(ctx, StopRequested())

    assert waits == [{items[0].key}] * 2, "who waits has put into the store what it encoded itself"
    progress = [event for event in events if isinstance(event, StageProgress)]
    assert [event.done for event in progress] == list(range(1, len(items) + 1))


def test_claims_are_held_until_their_values_are_in_the_store(tmp_path, monkeypatch):
    monkeypatch.setattr("recipe_runtime.store_group.GROUP_VALUES", 3)
    ctx = make_context(make_project(tmp_path, clips=MANY[:8]))
    seen = []
    plain = Group.add

    def add(group, key, *more):
        plain(group, key, *more)
        keys = [item.key for item in encode_text.text_items(ctx)]
        claimed = {path.stem[1:] for path in ctx.store.folder.rglob(".*.claim")}
        seen.append((len(group), len(claimed)))
        assert claimed <= ctx.store.missing("text", keys) | {key}

    monkeypatch.setattr(Group, "add", add)
    encode_text.run(ctx, StopRequested())

    assert seen[:6] == [(1, 1), (2, 2), (0, 1)] * 2
    assert not list(ctx.store.folder.rglob(".*.claim"))


def test_a_text_that_comes_twice_is_encoded_once_by_the_group(tmp_path):
    twice = (*MANY[:2], Clip(name="again.mp4", caption=MANY[0].caption))
    ctx = make_context(make_project(tmp_path, clips=twice, **{"data.vae_batch_size": 1}))

    encode_text.run(ctx, StopRequested())
    encode_video.run(ctx, StopRequested())

    assert len(stored_values(ctx.store.folder)) == 4 + len(set(encode_video.latent_index(ctx).values()))


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_what_is_no_worker_is_refused(text):
    with pytest.raises(ValueError, match="is no worker: write its number and how many there are"):
        read_worker(text)


def test_a_claim_is_held_by_one(tmp_path):
    path = tmp_path / "folder" / "claim"
    with Claims() as one, Claims() as other:
        assert one.take(path)
        assert not other.take(path)
        one.release(path)
        assert other.take(path)
        one.release(path)
        assert path.exists()  # it is not one's own any more
    assert not path.exists()


def test_a_claim_of_a_process_that_is_gone_is_taken_over_at_once(tmp_path):
    path = tmp_path / "claim"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with Claims() as claims:
        claims.take(path)
        content = json.loads(path.read_text())
        claims.release(path)
    path.write_text(json.dumps({**content, "process": gone.pid}))

    with Claims() as claims:
        assert claims.take(path)


def test_a_claim_of_another_machine_is_taken_over_when_its_heart_stopped(tmp_path):
    path = tmp_path / "claim"
    path.write_text(json.dumps({"machine": "elsewhere", "process": 1, "mark": ""}))

    with Claims(stale_seconds=0.2) as claims:
        assert not claims.take(path)
        time.sleep(0.15)
        os.utime(path)
        assert not claims.take(path)
        time.sleep(0.1)
        assert not claims.take(path)  # touched 0.1 s ago
        time.sleep(0.2)
        assert claims.take(path)


def test_who_holds_a_claim_touches_it(tmp_path):
    path = tmp_path / "claim"
    with Claims(beat_seconds=0.02) as holder:
        assert holder.take(path)
        os.utime(path, (1, 1))
        for _ in range(200):
            time.sleep(0.02)
            if path.stat().st_mtime > 1:
                break
        assert path.stat().st_mtime > 1


def test_half_a_claim_is_not_taken_for_a_dead_one(tmp_path):
    path = tmp_path / "claim"
    path.write_text("{")

    with Claims() as claims:
        assert not claims.take(path)
