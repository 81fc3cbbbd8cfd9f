"""Disks: how much is free, and how fast they are written."""

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from recipe_compiler.doctor.verdict import Verdict
from recipe_compiler.machine import Machine


_CHUNK = 2**20
_CHUNKS = 64
_SLOW_MB = 50
_ROOM_GB = 50
"""A full fine-tuning of the 2B writes checkpoints of 33 GB."""

DOWNLOADS, _DOWNLOADS_GB = "downloads of the hub", 15
"""Where the published model goes, which takes 13 GB."""


def look_at_disks(folders: Mapping[str, Path], machine: Machine, needed: float | None) -> list[Verdict]:
    """Look at the disks that a run writes to. Folders on one disk are told together.

    Args:
        folders: What each is for, and where it is. It need not be there yet.
        machine: The machine.
        needed: Bytes that the run of a recipe writes, its store included; None where there is no recipe.
    """
    places: dict[Path, list[str]] = {}
    for what, folder in folders.items():
        place = next(path for path in (folder, *folder.parents) if path.is_dir())
        places.setdefault(place, []).append(what)
    return [_look(place, names, machine, needed) for place, names in places.items()]


def _look(place: Path, names: Sequence[str], machine: Machine, needed: float | None) -> Verdict:
    what = " and ".join(names)
    try:
        speed = write_speed(place)
    except OSError as error:
        return Verdict(
            about="disk",
            status="error",
            text=f"{what}: {place} can't be written: {error.strerror}",
            cure="name a folder that is yours in the recipe",
        )
    free = machine.free_bytes(place)
    room = "" if free is None else f"{free / 1e9:,.0f} GB free, "
    text = f"{what}: {room}written at {speed:,.0f} MB/s ({place})"
    if speed < _SLOW_MB:
        cure = "a checkpoint of 33 GB takes more than ten minutes: take a local disk for `output_dir`"
        return Verdict(about="disk", status="warning", text=text, cure=cure)
    cure = _too_small(names, free, needed)
    if cure:
        return Verdict(about="disk", status="warning", text=text, cure=cure)
    return Verdict(about="disk", status="ok", text=text)


def _too_small(names: Sequence[str], free: int | None, needed: float | None) -> str:
    """Return what to do about a disk without room; nothing if there is enough, or nobody knows."""
    if free is None:
        return ""
    if list(names) == [DOWNLOADS]:
        return "" if free >= _DOWNLOADS_GB * 1e9 else "the model takes 13 GB: name another disk in HF_HOME"
    if needed is None:
        room = free >= _ROOM_GB * 1e9
        return "" if room else "`recipe plan` says what a run needs; a full one needs 100 GB"
    cure = f"the run writes {needed / 1e9:,.1f} GB: keep fewer checkpoints, or name another disk"
    return "" if free >= needed else cure


def write_speed(folder: Path) -> float:
    """Write 64 MiB to a file without a name, and return the speed in 10⁶ bytes a second, the disk's own time included.

    Raises:
        OSError: Nothing can be written there.
    """
    block = os.urandom(_CHUNK)
    with tempfile.TemporaryFile(dir=folder) as file:
        start = time.perf_counter()
        for _ in range(_CHUNKS):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        took = time.perf_counter() - start
    return _CHUNK * _CHUNKS / 1e6 / max(took, 1e-9)
