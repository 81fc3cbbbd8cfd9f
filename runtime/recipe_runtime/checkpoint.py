"""Checkpoints: complete or not there, verified before use, and never the last good one thrown away.

``checkpoints/step-00000040/`` holds ``model.safetensors``, ``optimizer.safetensors``, ``ema.safetensors`` (where
the average is kept) and ``state.json`` with the checksums of the others. Where processes have written their slices,
``model/`` and the like are folders, see `recipe_runtime.slices`.
"""

import importlib.metadata
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from recipe_runtime.checksums import flushed_and_hashed, hashed
from recipe_runtime.errors import CheckpointError
from recipe_runtime.slices import fill, read_whole, shapes_of, write_share
from recipe_runtime.state import Parts, TrainState
from recipe_schema.earlier import is_earlier
from recipe_schema.files import sync_folder, write_atomically


CHECKPOINT_VERSION = 1
"""Version of the layout of a checkpoint of whole tensors."""

SLICED_VERSION = 2
"""Version of the layout of a checkpoint of slices."""

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
        gone_back: The ``step`` to which the run went back last before this was trained, and the ``count`` of its going back
            until then. None if it never did.
    """

    step: int
    folder: Path
    parts: tuple[str, ...]
    begun_from: Mapping[str, Any] | None = None
    gone_back: Mapping[str, Any] | None = None

    def is_sliced(self, part: str) -> bool:
        """Tell whether a part was written in slices."""
        return (self.folder / part).is_dir()

    def read(self) -> dict[str, dict[str, Tensor]]:
        """Read all parts.

        Raises:
            CheckpointError: A file can't be read.
        """
        return {part: self.part(part) for part in self.parts}

    def part(self, part: str) -> dict[str, Tensor]:
        """Read a part: whole tensors.

        Raises:
            CheckpointError: A file can't be read.
        """
        with self._readable():
            return read_whole(self.folder / part) if self.is_sliced(part) else load_file(self._file(part))

    def shapes(self, part: str) -> dict[str, torch.Size]:
        """Return the shapes of a part's whole tensors; none if the checkpoint does not have it.

        Raises:
            CheckpointError: A file can't be read.
        """
        if part not in self.parts:
            return {}
        with self._readable():
            if self.is_sliced(part):
                return shapes_of(self.folder / part)
            return {name: tensor.shape for name, tensor in load_file(self._file(part)).items()}

    def fill(self, part: str, tensors: Mapping[str, Tensor]) -> None:
        """Read values of a part into tensors, which may be slices where it was written in slices.

        Raises:
            CheckpointError: A file can't be read.
        """
        with self._readable():
            if self.is_sliced(part):
                fill(self.folder / part, tensors)
                return
            for name, tensor in load_file(self._file(part)).items():
                tensors[name].copy_(tensor)

    def load(self, state: TrainState) -> None:
        """Let a state take over what is saved. Where it is spread over processes and was saved so, each reads its slices.

        Raises:
            CheckpointError: A file can't be read, or something does not fit.
        """
        if state.shards is not None and any(map(self.is_sliced, self.parts)):
            state.load_slices(self, self.step)
        else:
            state.load(self.read(), self.step)

    def _file(self, part: str) -> Path:
        return self.folder / f"{part}.safetensors"

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{self.folder} can't be read ({error}); delete it and run again") from error


def step_name(step: int) -> str:
    """Return the folder name of a step, as in ``step-00000040``."""
    return f"step-{step:08d}"


def save(
    run_dir: Path, parts: Parts, *, step: int, plan_id: str, past: Mapping[str, Any] = MappingProxyType({})
) -> Path:
    """Save a checkpoint: under its name it is complete, or it is not there.

    Args:
        run_dir: The run directory.
        parts: What is saved.
        step: Optimizer steps done.
        plan_id: The plan that is trained.
        past: What `TrainState.past` gives.

    Raises:
        CheckpointError: It can't be written.
    """

    def write(folder: Path) -> Mapping[str, str]:
        for part, tensors in parts.items():
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / f"{part}.safetensors")
        files = sorted(folder.iterdir())
        return dict(zip((file.name for file in files), flushed_and_hashed(files), strict=True))

    facts = {"version": CHECKPOINT_VERSION, "step": step, "plan_id": plan_id}
    return _save(run_dir, write, {**facts, **past})


def save_slices(run_dir: Path, state: TrainState, *, plan_id: str) -> Path:
    """Save a checkpoint of which each process writes its slices; under its name it is complete, or it is not there.

    The first process does this, and the others `write_slices`.

    Args:
        run_dir: The run directory.
        state: What is saved. It is spread over processes.
        plan_id: The plan that is trained.

    Raises:
        CheckpointError: A process can't write its share.
    """

    def write(folder: Path) -> Mapping[str, str]:
        state.team.give("save")
        sums = write_share(folder, state.cut_parts(), state.team)
        unseen = [name for name in sums if not (folder / name).is_file()]
        if unseen:
            raise OSError(
                f"{unseen[0]} was written by another process, and is not seen here; do all machines see this folder?"
            )
        return sums

    facts = {"version": SLICED_VERSION, "step": state.step, "plan_id": plan_id}
    return _save(run_dir, write, {**facts, **state.past()})


def write_slices(run_dir: Path, state: TrainState) -> None:
    """Write this process's share of a checkpoint that the first process saves by `save_slices`.

    The first process says it if that fails anywhere.
    """
    with suppress(OSError):
        write_share(_temporary(run_dir, state.step), state.cut_parts(), state.team)


def _save(run_dir: Path, write: Callable[[Path], Mapping[str, str]], facts: Mapping[str, Any]) -> Path:
    """Let a folder be filled under another name, and put it in its place with the checksums of its files."""
    final, temporary = folder_of(run_dir, facts["step"]), _temporary(run_dir, facts["step"])
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        sums = write(temporary)
        versions = {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "safetensors")}
        state = {**facts, "versions": versions, "sha256": sums}
        write_atomically(temporary / _STATE, json.dumps(state, indent=1).encode())
        for name in sums:  # safetensors keeps files to their owner, whatever the user's umask says
            shutil.copymode(temporary / _STATE, temporary / name)
        for folder in {(temporary / name).parent for name in sums}:
            sync_folder(folder)
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
    parts = tuple(dict.fromkeys(name.partition("/")[0].removesuffix(".safetensors") for name in state["sha256"]))
    begun_from, gone_back = state.get("begun_from"), state.get("gone_back")
    return Checkpoint(step=step, folder=folder, parts=parts, begun_from=begun_from, gone_back=gone_back)


def times_gone_back(run_dir: Path) -> int:
    """Count how often a run has gone back to one of its steps and saved what it trained from there."""
    return max((_gone_back(folder)["count"] for _, folder in _folders(run_dir)), default=0)


def after_going_back(run_dir: Path, step: int, *, plan_id: str, warn: Callable[[str], None]) -> Checkpoint | None:
    """Return the newest whole checkpoint of what was trained since the run went back to a step.

    Args:
        run_dir: The run directory.
        step: The step. It counts if it was the last one to which the run went back.
        plan_id: The plan that is trained. Checkpoints of others don't count.
        warn: Told of each newer checkpoint that is broken.
    """
    wanted = {"step": step, "count": times_gone_back(run_dir)}
    for saved, folder in sorted(_folders(run_dir), reverse=True):
        state = _read_state(folder)
        if saved <= step or state is None or state["plan_id"] != plan_id or _gone_back(folder) != wanted:
            continue
        found = inspect(folder, saved)
        if isinstance(found, Checkpoint):
            return found
        warn(f"{folder} is broken ({found}) and is passed over; delete it")
    return None


def _gone_back(folder: Path) -> Mapping[str, int]:
    """Return the ``gone_back`` of a checkpoint that may be broken; a count of 0 if there is none."""
    state = _read_state(folder)
    found: Mapping[str, int] = {"count": 0} if state is None else state.get("gone_back", {"count": 0})
    return found


def split_of(found: Checkpoint | None) -> dict[str, Tensor] | None:
    """Return what a training that goes on took out of the weights when it began; None if it did not, or begins now.

    Raises:
        CheckpointError: It can't be read.
    """
    return None if found is None or "split" not in found.parts else found.part("split")


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


def _temporary(run_dir: Path, step: int) -> Path:
    return run_dir / _FOLDER / f"{_TEMPORARY}{step_name(step)}"


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
    version = SLICED_VERSION if state["version"] == SLICED_VERSION else CHECKPOINT_VERSION
    if (state["version"], state["step"]) != (version, step):
        return f"version {state['version']} and step {state['step']}, expected {version} and {step}"
    sums = state["sha256"]
    files = [folder / name for name in sums]
    missing = [name for name, file in zip(sums, files, strict=True) if not file.is_file()]
    if missing:
        return f"{missing[0]} is missing"
    found = dict(zip(sums, hashed(files), strict=True))
    wrong = [name for name in sums if found[name] != sums[name]]
    return f"the checksum of {wrong[0]} does not match" if wrong else None
