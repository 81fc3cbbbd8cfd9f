"""Checkpoints: complete or not there, verified before use, and never the last good one thrown away.

``checkpoints/step-00000040/`` holds ``model.safetensors``, ``optimizer.safetensors``, ``ema.safetensors`` (where
the average is kept) and ``state.json`` with the checksums of the others.
"""

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from recipe_runtime.errors import CheckpointError
from recipe_runtime.state import Parts
from recipe_schema.earlier import is_earlier
from recipe_schema.files import sync_folder, write_atomically


CHECKPOINT_VERSION = 1
"""Version of the layout of a checkpoint."""

_FOLDER = "checkpoints"
_ASIDE = "set-aside"
_STATE = "state.json"
_KEYS = {"version", "step", "plan_id", "sha256"}
_TEMPORARY = ".tmp-"
_NAME = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A complete and verified checkpoint.

    Attributes:
        step: Optimizer steps done.
        folder: Where it is.
        parts: The parts that it holds, such as ``model``.
        begun_from: The checkpoint of another run at which this one began: its ``path`` and ``step``. None if it began anew.
    """

    step: int
    folder: Path
    parts: tuple[str, ...]
    begun_from: Mapping[str, Any] | None = None

    def file(self, part: str) -> Path:
        """Return the file of a part."""
        return self.folder / f"{part}.safetensors"

    def read(self) -> dict[str, dict[str, Tensor]]:
        """Read all parts.

        Raises:
            CheckpointError: A file can't be read.
        """
        try:
            return {part: load_file(self.file(part)) for part in self.parts}
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{self.folder} can't be read ({error}); delete it and run again") from error


def step_name(step: int) -> str:
    """Return the folder name of a step, as in ``step-00000040``."""
    return f"step-{step:08d}"


def save(run_dir: Path, parts: Parts, *, step: int, plan_id: str, begun_from: Mapping[str, Any] | None = None) -> Path:
    """Save a checkpoint: under its name it is complete, or it is not there.

    Args:
        run_dir: The run directory.
        parts: What is saved.
        step: Optimizer steps done.
        plan_id: The plan that is trained.
        begun_from: See `Checkpoint`.

    Raises:
        CheckpointError: It can't be written.
    """
    home = run_dir / _FOLDER
    final, temporary = home / step_name(step), home / f"{_TEMPORARY}{step_name(step)}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for part, tensors in parts.items():
            save_file(
                {name: tensor.contiguous() for name, tensor in tensors.items()}, temporary / f"{part}.safetensors"
            )
        files = sorted(temporary.iterdir())
        with ThreadPoolExecutor() as pool:
            sums = dict(zip((file.name for file in files), pool.map(_flush_and_hash, files), strict=True))
        versions = {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "safetensors")}
        state = {"version": CHECKPOINT_VERSION, "step": step, "plan_id": plan_id, "versions": versions, "sha256": sums}
        if begun_from is not None:
            state["begun_from"] = dict(begun_from)
        write_atomically(temporary / _STATE, json.dumps(state, indent=1).encode())
        for file in files:  # safetensors keeps files to their owner, whatever the user's umask says
            shutil.copymode(temporary / _STATE, file)
        _put_in_place(temporary, final)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError(
            f"{final} can't be written ({error}); earlier checkpoints are untouched: make room and run the same "
            "command again"
        ) from error
    return final


def latest(run_dir: Path, *, plan_id: str, warn: Callable[[str], None]) -> Checkpoint | None:
    """Return the newest checkpoint that is complete and intact, or None.

    Args:
        run_dir: The run directory.
        plan_id: The plan that is trained.
        warn: Told of each newer checkpoint that is broken. Those are left where they are.

    Raises:
        CheckpointError: The run directory holds checkpoints of another plan.
    """
    for step, folder in sorted(_folders(run_dir), reverse=True):
        check_plan(folder, plan_id)
        found = inspect(folder, step)
        if isinstance(found, Checkpoint):
            return found
        warn(f"{folder} is broken ({found}) and is passed over; delete it")
    return None


def check_plan(folder: Path, plan_id: str) -> None:
    """Check that a checkpoint, as far as it can be read, belongs to a plan, or to one that its run has gone on from.

    Raises:
        CheckpointError: It belongs to another one.
    """
    state = _read_state(folder)
    if state is not None and state["plan_id"] != plan_id and not is_earlier(folder.parent.parent, state["plan_id"]):
        raise CheckpointError(
            f"{folder} belongs to another plan ({state['plan_id'][:19]}…, this one is {plan_id[:19]}…); set "
            "another output_dir, or move the old run away"
        )


def inspect(folder: Path, step: int) -> Checkpoint | str:
    """Return the checkpoint in a folder, of any plan, or say what is wrong with it.

    Args:
        folder: The checkpoint's folder.
        step: Optimizer steps done, as the folder's name says.
    """
    state = _read_state(folder)
    if state is None:
        return f"there is no whole {_STATE}"
    problem = _problem(folder, state, step)
    if problem is not None:
        return problem
    parts = tuple(name.removesuffix(".safetensors") for name in state["sha256"])
    return Checkpoint(step=step, folder=folder, parts=parts, begun_from=state.get("begun_from"))


def step_of(folder: Path) -> int | None:
    """Return the step that a folder's name says; None if it is no checkpoint's name."""
    match = _NAME.fullmatch(folder.name)
    return None if match is None else int(match[1])


def steps_there(run_dir: Path) -> list[int]:
    """Return the steps of a run's checkpoints, broken ones included, in order."""
    return sorted(step for step, _ in _folders(run_dir))


def folder_of(run_dir: Path, step: int) -> Path:
    """Return the folder of a step's checkpoint."""
    return run_dir / _FOLDER / step_name(step)


def prune(run_dir: Path, *, saved: int, limit: int | None, counts: Callable[[int], bool]) -> None:
    """Remove old checkpoints until ``limit`` are left, counting the one that was just saved.

    Args:
        run_dir: The run directory.
        saved: Step of the checkpoint that was just saved. It and later ones stay.
        limit: How many stay; None keeps all.
        counts: Whether the checkpoint of a step is one of those that are limited. Others stay.
    """
    if limit is None:
        return
    older = sorted((step, folder) for step, folder in _folders(run_dir) if step < saved and counts(step))
    for _, folder in older[: max(len(older) - (limit - int(counts(saved))), 0)]:
        _remove(folder)


def set_aside(run_dir: Path, *, after: int, plan_id: str) -> list[Path]:
    """Move away the checkpoints of earlier plans that follow a step to which the run goes back.

    What is trained from there on would otherwise be passed over for them, since their steps are later ones.

    Args:
        run_dir: The run directory.
        after: The step.
        plan_id: The plan that is trained. What it has made itself stays: it is made anew with the same bits.

    Returns:
        Where they are now: in folders that ``checkpoints.resume`` takes for run directories, each of one plan.

    Raises:
        CheckpointError: One can't be moved.
    """
    moved = []
    for step, folder in sorted(_folders(run_dir)):
        state = _read_state(folder)
        if step <= after or state is None or state["plan_id"] == plan_id:
            continue
        home = run_dir / _ASIDE / state["plan_id"].removeprefix("sha256:")[:12] / _FOLDER
        try:
            home.mkdir(parents=True, exist_ok=True)
            if (home / folder.name).exists():
                _remove(home / folder.name)
            os.replace(folder, home / folder.name)
            sync_folder(home)
        except OSError as error:
            raise CheckpointError(
                f"{folder} can't be moved to {home} ({error}); move it away, and run again"
            ) from error
        moved.append(home / folder.name)
    return moved


def sweep(run_dir: Path) -> None:
    """Remove what processes of this run that died while saving or pruning left behind."""
    for folder in (run_dir / _FOLDER).glob(f"{_TEMPORARY}*"):
        shutil.rmtree(folder)


def _folders(run_dir: Path) -> list[tuple[int, Path]]:
    found = ((_NAME.fullmatch(folder.name), folder) for folder in (run_dir / _FOLDER).glob("step-*"))
    return [(int(match[1]), folder) for match, folder in found if match is not None]


def _put_in_place(temporary: Path, final: Path) -> None:
    """Rename a finished folder. One of that name can only be a broken checkpoint that was passed over."""
    sync_folder(temporary)
    if final.exists():
        _remove(final)
    os.replace(temporary, final)
    sync_folder(final.parent)


def _remove(folder: Path) -> None:
    """Remove a checkpoint: out of sight in one move, so that a crash leaves no half of it under its name."""
    doomed = folder.with_name(f"{_TEMPORARY}removed-{folder.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    os.replace(folder, doomed)
    shutil.rmtree(doomed)


def _read_state(folder: Path) -> dict[str, Any] | None:
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) and state.keys() >= _KEYS else None


def _problem(folder: Path, state: Mapping[str, Any], step: int) -> str | None:
    """Say what is wrong with a checkpoint, if anything is."""
    if (state["version"], state["step"]) != (CHECKPOINT_VERSION, step):
        return f"version {state['version']} and step {state['step']}, expected {CHECKPOINT_VERSION} and {step}"
    sums = state["sha256"]
    files = [folder / name for name in sums]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        return f"{missing[0]} is missing"
    with ThreadPoolExecutor() as pool:
        found = dict(zip(sums, pool.map(_hash, files), strict=True))
    wrong = [name for name in sums if found[name] != sums[name]]
    return f"the checksum of {wrong[0]} does not match" if wrong else None


def _flush_and_hash(file: Path) -> str:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return _hash(file)


def _hash(file: Path) -> str:
    state = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(2**24):
            state.update(block)
    return state.hexdigest()
