"""Masks: which file belongs to which clip."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from recipe_compiler.data.facts import MasksFound, UnfitMask
from recipe_compiler.data.geometry import frames_at
from recipe_compiler.data.probe import MASK_SUFFIXES, Probe
from recipe_compiler.settings import Resolved
from recipe_schema.ledger import ClipRow
from recipe_schema.video import is_picture


ENABLED = "regularizers.masked_loss.enabled"

_DATA_SETS = "data.datasets"

_EXACT = frozenset(
    {"png", "apng", "webp", "gif", "ffv1", "ffvhuff", "huffyuv", "utvideo", "qtrle", "rawvideo", "magicyuv", "r210"}
)
"""Codecs that can keep a colour as it is, as FFmpeg names them."""

_SAME_SHAPE = 0.03
"""Share by which the shapes of a clip and its mask may differ: sizes are whole and often even numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFolder:
    """The masks of one data set of clips that one data set of masks holds.

    Attributes:
        table: The data set of masks, as in ``data.datasets.1``.
        dataset: Its id.
        clips: The id of the data set of clips.
        folder: Its folder.
        files: The masks, in order of path.
        labels: Whether they show labels, whose colours have to be exact.
    """

    table: str
    dataset: str
    clips: str
    folder: Path
    files: tuple[Path, ...]
    labels: bool

    def stem(self, file: Path) -> str:
        """Return the path of a mask below the folder without its ending."""
        return str(PurePosixPath(file.relative_to(self.folder).as_posix()).with_suffix(""))


def mask_tables(settings: Resolved, table: str) -> Iterator[str]:
    """Yield the data sets that hold the masks of a data set of clips. Those with wrong settings are left to findings."""
    trained = settings.in_use(table) and settings[f"{table}.dataset_type"] in ("video", "image")
    if not trained or not settings.fine(ENABLED) or not settings[ENABLED]:
        return
    for other in settings.tables(_DATA_SETS):
        if not settings.fine(other) or settings[f"{other}.instance_data_dir"] is None or not _holds(settings, other):
            continue
        named = settings[f"{other}.id"] in (settings[f"{table}.conditioning_data"] or ())
        if named or settings[f"{other}.source_dataset_id"] == settings[f"{table}.id"]:
            yield other


def _holds(settings: Resolved, table: str) -> bool:
    return (
        settings.in_use(table)
        and settings[f"{table}.type"] == "local"
        and settings[f"{table}.dataset_type"] == "conditioning"
        and settings[f"{table}.conditioning_type"] is not None
    )


def mask_files(folder: Path) -> tuple[Path, ...]:
    """Return the pictures and videos below a folder, in order of path. Hidden files and folders are not looked at."""
    found: list[Path] = []
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += (Path(here, name) for name in files if not name.startswith("."))
    masks = (path for path in found if path.suffix.lower() in MASK_SUFFIXES and path.is_file())
    return tuple(sorted((path for path in masks if _is_text(path)), key=lambda path: path.as_posix()))


def _is_text(path: Path) -> bool:
    """Say whether a path is UTF-8: no other one fits into the ledger, and no clip with such a name is trained."""
    return os.fsencode(path).decode("utf-8", "replace") == str(path)


def pair(
    rows: Sequence[ClipRow], folders: Sequence[MaskFolder], probes: Mapping[Path, Probe], clips: Collection[Path]
) -> tuple[tuple[ClipRow, ...], tuple[MasksFound, ...]]:
    """Give each trained clip the mask of its name.

    Args:
        rows: All rows.
        folders: The folders of masks.
        probes: What each mask says of itself.
        clips: The files of all clips.

    Returns:
        The rows, those of clips with a usable mask with that, and what there is to say of each folder.
    """
    paired: dict[str, list[tuple[MaskFolder, Path]]] = {}
    stems = {_stem(row): row for row in rows}
    for folder in folders:
        for file in folder.files:
            paired.setdefault(f"{folder.clips}/{folder.stem(file)}", []).append((folder, file))
    unfit: dict[int, list[UnfitMask]] = {}
    masked: list[ClipRow] = []
    for row in rows:
        own = paired.get(_stem(row), []) if row.fate == "trained" else []
        problems = list(_problems(row, own, probes))
        for folder, problem in problems:
            unfit.setdefault(folders.index(folder), []).append(problem)
        masked.append(row if not own or any(p.refused for _, p in problems) else _with_mask(row, *own[0], probes))
    found = tuple(
        MasksFound(
            table=folder.table,
            clips=folder.clips,
            files=len(folder.files),
            without_clip=tuple(
                file.relative_to(folder.folder).as_posix()
                for file in folder.files
                if f"{folder.clips}/{folder.stem(file)}" not in stems
            ),
            also_clips=tuple(file.relative_to(folder.folder).as_posix() for file in folder.files if file in clips),
            unfit=tuple(unfit.get(index, ())),
        )
        for index, folder in enumerate(folders)
    )
    return tuple(masked), found


def _stem(row: ClipRow) -> str:
    return f"{row.dataset}/{PurePosixPath(row.path).with_suffix('')}"


def _with_mask(row: ClipRow, folder: MaskFolder, file: Path, probes: Mapping[Path, Probe]) -> ClipRow:
    stat = file.stat()
    return replace(
        row,
        mask_dataset=folder.dataset,
        mask_path=file.relative_to(folder.folder).as_posix(),
        mask_sha256=probes[file].sha256,
        mask_size_bytes=stat.st_size,
        mask_mtime_ns=stat.st_mtime_ns,
    )


def _problems(
    row: ClipRow, own: Sequence[tuple[MaskFolder, Path]], probes: Mapping[Path, Probe]
) -> Iterator[tuple[MaskFolder, UnfitMask]]:
    """Say why the mask of a clip can't be used, or not as it is."""
    if not own:
        return
    (folder, file), others = own[0], own[1:]
    path, facts = file.relative_to(folder.folder).as_posix(), probes[file]
    if others:
        second = others[0][1].relative_to(others[0][0].folder).as_posix()
        yield folder, UnfitMask(path=path, reason=f"`{second}` is for the same clip, `{row.clip_id}`", refused=True)
    elif facts.problem:
        yield folder, UnfitMask(path=path, reason=facts.problem, refused=True)
    elif folder.labels and facts.codec not in _EXACT:
        reason = f"it is compressed with {facts.codec}, which changes colours, so that labels can't be told; take png, or ffv1"
        yield folder, UnfitMask(path=path, reason=reason, refused=True)
    elif not is_picture(file) and (missing := _too_short(row, facts)):
        yield folder, UnfitMask(path=path, reason=missing, refused=True)
    elif abs(facts.width * row.height / (facts.height * row.width) - 1) > _SAME_SHAPE:
        reason = (
            f"it has {facts.width}x{facts.height} and is stretched to the shape of its clip, {row.width}x{row.height}"
        )
        yield folder, UnfitMask(path=path, reason=reason, refused=False)


def _too_short(row: ClipRow, facts: Probe) -> str:
    """Say how a video of masks ends before the sample of its clip; empty if it does not."""
    rate = row.framerate or row.fps
    needed = round(row.starts[-1] * rate) + row.bucket_frames
    there = frames_at(facts.seconds, row.framerate) if row.framerate else facts.frames
    return (
        f"it ends after {there} frames where the sample of its clip ends with frame {needed}" if there < needed else ""
    )
