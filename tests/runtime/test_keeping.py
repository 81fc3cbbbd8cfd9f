import os
import subprocess
import sys
import time

import pytest
import torch

from fakes_runtime import make_context, make_project
from fakes_shards import write_shard
from fakes_store import damage_value, replace_value, shard_files
from recipe_runtime import encode_text, encode_video
from recipe_runtime.encode_video import latent_index
from recipe_runtime.errors import StoreError
from recipe_runtime.keeping.__main__ import main
from recipe_runtime.keeping.collect import _told
from recipe_runtime.keeping.listing import stored_files
from recipe_runtime.keeping.shrink import clear_shards, shares
from recipe_runtime.stop import StopRequested
from recipe_runtime.store import Store, content_key
from recipe_runtime.store_group import Group
from recipe_schema.shard_index import FILE


def encoded(tmp_path, **overrides):
    project = make_project(tmp_path, **overrides)
    ctx = make_context(project)
    encode_text.run(ctx, StopRequested())
    encode_video.run(ctx, StopRequested())
    return project, ctx


def files(store):
    return {path for path in store.rglob("*") if path.is_file()}


def test_a_store_is_listed_by_kind(tmp_path, capsys):
    _, ctx = encoded(tmp_path)
    store = ctx.store.folder
    key = encode_text.text_items(ctx)[0].key
    replace_value(ctx.store, "text", key, {"embeds": torch.ones(3)})
    some = ctx.store.path("text", key)
    os.utime(some, (0, 0))
    some.with_name(f".{some.stem}.claim").write_text("{}")
    (store / "shards" / f".{key}.0123abcd").write_text("half")
    (store / "notes.txt").write_text("mine")

    assert main(["ls", str(store)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["latents", "4"], ["text", "6"]]
    assert "1970-01-01 00:00" in lines[2]
    assert lines[3:] == ["in 2 shards and 1 file of one value", "2 files of encoding under way or killed, 6 B"]


def test_an_empty_store_is_listed_without_torch(tmp_path):
    script = "import sys; from recipe_runtime.keeping.__main__ import main; main(); sys.exit('torch' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", script, "ls", str(tmp_path)], check=False, capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (0, f"{tmp_path} holds no values\n")


def test_what_vanishes_while_a_store_is_listed_is_passed_over(tmp_path):
    folder = tmp_path / "text" / "ab"
    folder.mkdir(parents=True)
    first, second = (folder / f"ab{number:062}.safetensors" for number in range(2))
    for path in (first, second):
        path.write_text("x")
    (folder / f".{first.stem}.0123abcd").symlink_to(first)

    found = stored_files(tmp_path)
    assert next(found).path == first
    second.unlink()

    assert list(found) == []


def test_every_damaged_file_is_named(tmp_path, capsys):
    _, ctx = encoded(tmp_path)
    assert main(["verify", str(ctx.store.folder)]) == 0
    assert "10 values" in (shown := capsys.readouterr().out)
    assert "all whole" in shown
    texts = [item.key for item in encode_text.text_items(ctx)]
    for key in texts[:2]:
        replace_value(ctx.store, "text", key, ctx.store.read("text", key))
    first = damage_value(ctx.store, "text", texts[0])
    second = ctx.store.path("text", texts[1])
    second.write_bytes(b"")
    third = damage_value(ctx.store, "text", texts[2])

    assert main(["verify", str(ctx.store.folder)]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines[:3]} == {str(first), str(second), str(third)}
    assert any(line.startswith(f"{first} is damaged") for line in lines)
    assert any(line.startswith(f"{second} can't be read") for line in lines)
    assert f"its value text {texts[2][:12]}… does not match its checksum; it counts as missing now" in lines[2]
    assert lines[3].endswith("3 damaged")


def test_what_was_damaged_in_a_shard_is_encoded_anew_and_then_all_is_whole(tmp_path, capsys):
    _, ctx = encoded(tmp_path)
    key = encode_text.text_items(ctx)[0].key
    damage_value(ctx.store, "text", key)
    assert main(["verify", str(ctx.store.folder)]) == 1
    assert ctx.store.missing("text", [key]) == {key}

    encode_text.run(ctx, StopRequested())

    capsys.readouterr()
    assert main(["verify", str(ctx.store.folder)]) == 0
    assert "10 values" in capsys.readouterr().out


def test_shards_that_are_no_shards_or_cut_short_are_named_as_long_as_they_are_there(tmp_path, capsys):
    _, ctx = encoded(tmp_path)
    first, second = shard_files(ctx.store.folder)
    lost = max(ctx.store.index.of_shard(second.stem), key=lambda place: place.start)
    first.write_bytes(b"")
    second.write_bytes(second.read_bytes()[:-3])

    for _ in range(2):
        assert main(["verify", str(ctx.store.folder)]) == 1
        out = capsys.readouterr().out
        assert f"{first} can't be read (its header can't be read); delete this file" in out
        assert f"{second} is damaged: its value {lost.kind} {lost.key[:12]}… is cut short" in out
        assert "2 damaged" in out


def test_a_shard_that_vanishes_while_all_is_verified_is_passed_over(tmp_path, capsys, monkeypatch):
    _, ctx = encoded(tmp_path)
    (first, _), listdir = shard_files(ctx.store.folder), os.listdir

    def vanish(folder):
        names = listdir(folder)
        first.unlink(missing_ok=True)
        return names

    monkeypatch.setattr("recipe_runtime.keeping.verify.os.listdir", vanish)
    assert main(["verify", str(ctx.store.folder)]) == 0
    assert "all whole" in capsys.readouterr().out


def test_what_no_plan_needs_is_removed_only_when_asked_and_the_unknown_never(tmp_path, capsys):
    shared = tmp_path / "store"
    first, ctx = encoded(tmp_path / "a", **{"data.store_dir": str(shared)})
    key = encode_text.text_items(ctx)[0].key
    replace_value(ctx.store, "text", key, ctx.store.read("text", key))
    _, other = encoded(tmp_path / "b", **{"data.store_dir": str(shared), "model.vae_dtype": "bf16"})
    (of_others,) = {other.store.index.find("latents", key).shard for key in latent_index(other).values()}
    old = content_key({"nobody": "needs it"})
    other.store.write("text", old, {"embeds": torch.ones(2)}, {})
    some, shards = ctx.store.path("text", key), shared / "shards"
    killed = {
        some.with_name(f".{some.stem}.claim"),
        some.with_name(f".{some.stem}.0123abcd"),
        shards / f".{key}.0123abcd",
    }
    young = {some.with_name(f".{some.stem}.ffffffff"), shards / f".{key}.ffffffff"}
    other_kind = shared / "later" / "ab" / f"{'ab' * 32}.safetensors"
    strangers = {
        shared / "README",
        some.parent / "notes.safetensors",
        some.with_suffix(".bak"),
        shards / "notes.safetensors",
    }
    for path in (*killed, *young, other_kind, *strangers):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    for path in killed:
        os.utime(path, (time.time() - 1e6,) * 2)
    unknown_shard = write_shard(shared, "later", 1, 2)
    spare = {shards / f"{of_others}.safetensors", other.store.path("text", old)}
    before = files(shared)

    assert main(["gc", str(shared), "--keep", str(first.plan_dir)]) == 0
    told = capsys.readouterr().out
    assert files(shared) == before
    assert "kept              11 values" in told  # ten, and one of a later version
    assert "to remove          5 values" in told
    assert "to remove          3 files of encoding that was killed" in told
    assert "nothing was removed" in told

    assert main(["gc", str(shared), "--keep", str(first.plan_dir), "--delete"]) == 0
    assert files(shared) == before - spare - killed
    assert unknown_shard.exists()
    assert "removed            5 values" in capsys.readouterr().out
    assert Store(shared).missing("latents", latent_index(ctx).values()) == set()
    assert Store(shared).missing("latents", latent_index(other).values()) == set(latent_index(other).values())
    assert main(["gc", str(shared), "--keep", str(first.plan_dir), "--delete"]) == 0
    assert files(shared) == before - spare - killed


def grouped(folder, count, *, size=1000):
    store, keys = Store(folder), [content_key({"value": number}) for number in range(count)]
    with Group(store, "text") as group:
        for number, key in enumerate(keys):
            group.add(key, {"embeds": torch.full((size,), float(number))}, {"text": str(number)})
    return store, keys


@pytest.mark.parametrize("compress", [False, True])
def test_a_shard_of_which_little_is_needed_is_written_anew(tmp_path, compress):
    store, keys = grouped(tmp_path, 10)
    store.compress = compress
    damage_value(store, "text", keys[9])
    (old,) = shard_files(tmp_path)

    found = shares(tmp_path, {"text": keys[6:], "masks": ()})
    (share,) = found
    assert (share.goes, len(share.needed), len(share.spare)) == (True, 4, 6)
    assert 0.5 * old.stat().st_size < share.freed < 0.7 * old.stat().st_size
    clear_shards(store, found)

    (new,) = shard_files(tmp_path)
    assert new != old
    assert abs(old_size := new.stat().st_size - (share.bytes - share.freed)) < 500, old_size
    again = Store(tmp_path)
    assert again.missing("text", keys) == set(keys[:6])
    assert [again.read("text", key)["embeds"][0].item() for key in keys[6:9]] == [6, 7, 8]
    with pytest.raises(StoreError, match="does not match its checksum"):
        again.read("text", keys[9])
    (tmp_path / FILE).unlink()
    assert Store(tmp_path).missing("text", keys) == set(keys[:6])
    (share,) = shares(tmp_path, {"text": keys[6:]})
    assert not share.goes


def test_a_shard_of_which_most_is_needed_stays_and_this_is_told(tmp_path):
    _, keys = grouped(tmp_path, 10)
    found = shares(tmp_path, {"text": keys[1:]})
    clear_shards(Store(tmp_path), found)

    assert [(share.goes, share.freed, len(share.spare)) for share in found] == [(False, 0, 1)]
    assert Store(tmp_path).missing("text", keys) == set()
    lines = list(_told([], [], found, delete=False))
    assert lines[0].startswith("kept               9 values")
    assert lines[2] == "1 more is not needed, and stays in shards of which most is"
    assert len(lines) == 3


def test_small_values_are_no_reason_to_write_a_whole_shard_anew(tmp_path):
    _, keys = grouped(tmp_path, 200, size=1)

    (share,) = shares(tmp_path, {"text": keys})

    assert (share.goes, share.spare) == (False, [])


def test_values_that_stand_in_a_newer_shard_as_well_go(tmp_path):
    store, keys = grouped(tmp_path, 10)
    (old,) = shard_files(tmp_path)
    os.utime(old, (1, 1))
    with Group(store, "text") as group:
        for key in keys[:8]:
            group.add(key, store.read("text", key), {"made": "again"})
    store = Store(tmp_path)

    clear_shards(store, shares(tmp_path, {"text": keys}))

    assert len(shard_files(tmp_path)) == 2
    assert not old.exists()
    assert [store.read("text", key)["embeds"][0].item() for key in keys] == list(range(10))
    clear_shards(store, shares(tmp_path, {"text": ()}))
    assert shard_files(tmp_path) == []


def test_killed_between_writing_anew_and_removing_nothing_is_lost_and_the_next_removes_it(tmp_path, monkeypatch):
    store, keys = grouped(tmp_path, 10)
    (old,) = shard_files(tmp_path)
    found = shares(tmp_path, {"text": keys[:2]})
    plain = type(old).unlink

    def killed(self, *, missing_ok=False):
        if self == old:
            raise KeyboardInterrupt
        plain(self, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(type(old), "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            clear_shards(store, found)

    (tmp_path / FILE).unlink()
    store = Store(tmp_path, tell=lambda _: None)
    assert store.missing("text", keys) == set()
    clear_shards(store, shares(tmp_path, {"text": keys[:2]}))
    assert len(shard_files(tmp_path)) == 1
    assert Store(tmp_path).missing("text", keys) == set(keys[2:])
    assert [store.read("text", key)["embeds"][0].item() for key in keys[:2]] == [0, 1]


def test_a_shard_that_changes_while_it_is_written_anew_is_named(tmp_path):
    store, keys = grouped(tmp_path, 10)
    found = shares(tmp_path, {"text": keys[:2]})
    (old,) = shard_files(tmp_path)
    content = old.read_bytes()
    old.write_bytes(content[:3000])
    with pytest.raises(StoreError, match="was cut short; run `recipe store verify"):
        clear_shards(store, found)
    old.unlink()
    with pytest.raises(StoreError, match="can't be read or removed"):
        clear_shards(store, found)


def test_nothing_is_removed_where_the_needed_can_not_be_told(tmp_path, capsys):
    project, ctx = encoded(tmp_path)
    before = files(ctx.store.folder)
    (project.root / "models/tiny").rename(project.root / "models/gone")

    assert main(["gc", str(ctx.store.folder), "--keep", str(project.plan_dir), "--delete"]) == 4
    assert "`models/tiny` is not a directory" in capsys.readouterr().err
    assert main(["gc", str(ctx.store.folder), "--keep", str(tmp_path), "--delete"]) == 3
    assert files(ctx.store.folder) == before


def test_a_store_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["ls", str(tmp_path / "none")]) == 2

    assert "No such file" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove everything")
def test_a_file_that_can_not_be_removed_is_named(tmp_path, capsys):
    shared = tmp_path / "store"
    first, _ = encoded(tmp_path / "a", **{"data.store_dir": str(shared)})
    encoded(tmp_path / "b", **{"data.store_dir": str(shared), "model.vae_dtype": "bf16"})
    (shared / "shards").chmod(0o500)

    assert main(["gc", str(shared), "--keep", str(first.plan_dir), "--delete"]) == 4

    assert "can't be removed" in capsys.readouterr().err
