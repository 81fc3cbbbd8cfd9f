import json
import os
import re
import shutil

import pytest
import torch

from fakes_training import batch_maker, encoded_project, same_bits
from recipe_runtime import checkpoint
from recipe_runtime.errors import CheckpointError
from recipe_runtime.step import train_step
from recipe_runtime.train import build_state


PARTS = {"model": {"w": torch.arange(4.0)}, "optimizer": {"step.w": torch.tensor(3.0)}}


def save(run_dir, *steps, limit=None):
    for step in steps:
        checkpoint.save(run_dir, PARTS, step=step, plan_id="sha256:a")
        checkpoint.prune(run_dir, saved=step, limit=limit, counts=lambda _: True)


def find(run_dir, plan_id="sha256:a"):
    warnings: list[str] = []
    return checkpoint.latest(run_dir, plan_id=plan_id, warn=warnings.append), warnings


def steps(run_dir):
    return sorted(int(path.name[5:]) for path in (run_dir / "checkpoints").glob("step-*"))


def folder(run_dir, step):
    return run_dir / "checkpoints" / checkpoint.step_name(step)


def test_the_newest_checkpoint_is_found_and_holds_what_was_saved(tmp_path):
    save(tmp_path, 20, 100, 40)

    found, warnings = find(tmp_path)

    assert (found.step, found.folder, warnings) == (100, folder(tmp_path, 100), [])
    assert same_bits(found.read(), PARTS)


def test_an_empty_run_has_no_checkpoint(tmp_path):
    assert find(tmp_path) == (None, [])


def test_the_state_file_says_what_it_belongs_to(tmp_path):
    save(tmp_path, 40)

    state = json.loads((folder(tmp_path, 40) / "state.json").read_text())

    assert (state["version"], state["step"], state["plan_id"]) == (1, 40, "sha256:a")
    assert set(state["sha256"]) == {"model.safetensors", "optimizer.safetensors"}
    assert state["versions"]["torch"] == torch.__version__


def test_all_files_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        save(tmp_path, 40)
    finally:
        os.umask(before)

    assert {path.stat().st_mode & 0o777 for path in folder(tmp_path, 40).iterdir()} == {0o640}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: (path / "state.json").unlink(), r"no whole state\.json"),
        (lambda path: (path / "state.json").write_text("{"), r"no whole state\.json"),
        (lambda path: (path / "model.safetensors").unlink(), r"model\.safetensors is missing"),
        (lambda path: flip_last_byte(path / "optimizer.safetensors"), r"checksum of optimizer\.safetensors"),
        (lambda path: change_step(path / "state.json"), "step 41"),
    ],
    ids=["no-state", "half-a-state", "no-weights", "flipped-bit", "other-step"],
)
def test_a_broken_checkpoint_is_passed_over_with_a_warning_and_kept(tmp_path, damage, reason):
    save(tmp_path, 20, 40)
    damage(folder(tmp_path, 40))

    found, warnings = find(tmp_path)

    assert found.step == 20
    assert len(warnings) == 1
    assert str(folder(tmp_path, 40)) in warnings[0]
    assert re.search(reason, warnings[0])
    assert folder(tmp_path, 40).exists()


def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def change_step(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "step": 41}))


def test_checkpoints_of_another_plan_are_never_used(tmp_path):
    save(tmp_path, 20)

    with pytest.raises(CheckpointError, match="belongs to another plan"):
        find(tmp_path, plan_id="sha256:b")


def test_pruning_keeps_the_newest(tmp_path):
    save(tmp_path, 10, 20, 30, 40, limit=2)

    assert steps(tmp_path) == [30, 40]


def test_without_a_limit_all_stay(tmp_path):
    save(tmp_path, 10, 20, 30, limit=None)

    assert steps(tmp_path) == [10, 20, 30]


def test_pruning_never_takes_the_last_good_one(tmp_path):
    save(tmp_path, 10, 40)
    (folder(tmp_path, 40) / "state.json").unlink()

    # The run went on from step 10 and saves step 20, while the broken step 40 still lies there.
    save(tmp_path, 20, limit=1)

    assert steps(tmp_path) == [20, 40]
    assert find(tmp_path)[0].step == 20


def test_a_broken_checkpoint_is_replaced_when_its_step_comes_again(tmp_path):
    save(tmp_path, 20, 40)
    (folder(tmp_path, 40) / "state.json").unlink()

    save(tmp_path, 40)

    assert find(tmp_path)[0].step == 40


def test_a_failed_save_leaves_the_earlier_checkpoints_and_no_rest(tmp_path, monkeypatch):
    save(tmp_path, 20)

    def full(*_arguments, **_names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save(tmp_path, 40)

    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000020"]


def test_what_dead_processes_left_is_swept_away(tmp_path):
    save(tmp_path, 20)
    shutil.copytree(folder(tmp_path, 20), tmp_path / "checkpoints" / ".tmp-step-00000040")

    checkpoint.sweep(tmp_path)

    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000020"]


def trained_state(tmp_path, steps_done=2):
    _, ctx, _ = encoded_project(tmp_path, **{"ema.enabled": True})
    state, maker = build_state(ctx), batch_maker(ctx)
    for step in range(steps_done):
        train_step(state.model, state.optimizer, maker.make(step), rate=1e-3, settings=ctx.settings.train)
        state.step += 1
        state.average.update(state.step)  # type: ignore[union-attr]  # it is kept here
    return ctx, state


def test_a_loaded_state_equals_the_saved_one_bit_for_bit(tmp_path):
    ctx, state = trained_state(tmp_path)
    checkpoint.save(tmp_path, state.parts(), step=2, plan_id="sha256:a")
    found, _ = find(tmp_path)

    fresh = build_state(ctx)
    fresh.load(found.read(), found.step)

    assert fresh.step == 2
    assert set(fresh.parts()) == {"model", "optimizer", "ema"}
    assert same_bits(fresh.parts(), state.parts())


@pytest.mark.parametrize("part", ["model", "optimizer", "ema"])
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(tmp_path, part):
    ctx, state = trained_state(tmp_path)
    parts = {name: dict(tensors) for name, tensors in state.parts().items()}
    lost = min(parts[part])
    del parts[part][lost]
    fresh, untouched = build_state(ctx), build_state(ctx)

    with pytest.raises(CheckpointError, match=lost):
        fresh.load(parts, 2)

    assert all(torch.equal(a, b) for a, b in zip(fresh.model.parameters(), untouched.model.parameters(), strict=True))
    assert fresh.step == 0


@pytest.mark.parametrize(("limit", "left"), [(1, [2, 3, 4, 5]), (None, [1, 2, 3, 4, 5])])
def test_pruning_leaves_alone_what_is_not_counted(tmp_path, limit, left):
    for step in range(1, 6):
        checkpoint.save(tmp_path, PARTS, step=step, plan_id="sha256:1")

    checkpoint.prune(tmp_path, saved=5, limit=limit, counts=lambda step: step in (1, 3))

    kept = [step for step in range(1, 6) if (tmp_path / "checkpoints" / checkpoint.step_name(step)).exists()]
    assert kept == left
