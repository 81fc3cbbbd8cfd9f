import os
import subprocess
import sys
import time

import pytest

from fakes_runtime import make_context, make_project
from recipe_runtime import encode_text, encode_video
from recipe_runtime.keeping.__main__ import main
from recipe_runtime.keeping.listing import stored_files
from recipe_runtime.stop import StopRequested


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
    some = next((store / "text").rglob("*.safetensors"))
    os.utime(some, (0, 0))
    some.with_name(f".{some.stem}.claim").write_text("{}")
    (store / "notes.txt").write_text("mine")

    assert main(["ls", str(store)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["latents", "4"], ["text", "6"]]
    assert "1970-01-01 00:00" in lines[2]
    assert lines[3] == "1 files of encoding under way or killed, 2 B"


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
    first, second = sorted((ctx.store.folder / "latents").rglob("*.safetensors"))[:2]
    content = first.read_bytes()
    first.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    second.write_bytes(b"")

    assert main(["verify", str(ctx.store.folder)]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert f"{first} is damaged" in lines[0]
    assert f"{second} can't be read" in lines[1]
    assert lines[2].endswith("2 damaged")


def test_what_no_plan_needs_is_removed_only_when_asked_and_the_unknown_never(tmp_path, capsys):
    shared = tmp_path / "store"
    first, _ = encoded(tmp_path / "a", **{"data.store_dir": str(shared)})
    needed = files(shared)
    encoded(tmp_path / "b", **{"data.store_dir": str(shared), "model.vae_dtype": "bf16"})
    spare = files(shared) - needed
    assert len(spare) == 4
    some = next(iter(needed))
    claim, half = some.with_name(f".{some.stem}.claim"), some.with_name(f".{some.stem}.0123abcd")
    young = some.with_name(f".{some.stem}.ffffffff")
    other_kind = shared / "later" / "ab" / f"{'ab' * 32}.safetensors"
    strangers = {shared / "README", some.parent / "notes.safetensors", some.with_suffix(".bak")}
    for path in (claim, half, young, other_kind, *strangers):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    for path in (claim, half):
        os.utime(path, (time.time() - 1e6,) * 2)
    before = files(shared)

    assert main(["gc", str(shared), "--keep", str(first.plan_dir)]) == 0
    told = capsys.readouterr().out
    assert files(shared) == before
    assert "to remove          6 files" in told
    assert "nothing was removed" in told

    assert main(["gc", str(shared), "--keep", str(first.plan_dir), "--delete"]) == 0
    assert files(shared) == before - spare - {claim, half}
    assert "removed            6 files" in capsys.readouterr().out


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
    for folder in (shared / "latents").iterdir():
        folder.chmod(0o500)

    assert main(["gc", str(shared), "--keep", str(first.plan_dir), "--delete"]) == 4

    assert "can't be removed" in capsys.readouterr().err
