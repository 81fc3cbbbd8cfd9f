"""The survey: every clip of every data set becomes a row of the ledger."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recipe_compiler.data.captions import STRATEGIES, CaptionError, has_several_lines, motion_suffix
from recipe_compiler.data.facts import Survey, count_buckets
from recipe_compiler.data.geometry import fit, frames_at, parse_size, sample_frames
from recipe_compiler.data.index import ProbeIndex
from recipe_compiler.data.probe import VIDEO_SUFFIXES, Probe
from recipe_compiler.settings import Resolved
from recipe_schema.ledger import ClipRow


def survey(
    settings: Resolved, root: Path, tables: Sequence[str], *, index: ProbeIndex, report: Callable[[int, int], None]
) -> Survey:
    """Look at data sets.

    Args:
        settings: Resolved settings.
        root: Where relative paths start.
        tables: The data sets to look at, as in ``data.datasets.0``. Nothing is wrong with their settings.
        index: Remembers unchanged files.
        report: Called with files done and their total.
    """
    missing: dict[str, Path] = {}
    found: dict[str, list[Path]] = {}
    for table in tables:
        folder = _folder(settings, table, root)
        if os.path.isdir(folder):  # unlike Path.is_dir, it takes a name that is too long for no folder
            found[table] = sorted(_clips(folder), key=lambda path: path.relative_to(folder).as_posix())
        elif settings.in_use(table):
            missing[table] = folder
    active = [
        path
        for table, paths in found.items()
        if settings.in_use(table)
        for path in paths
        if _speakable(str(path)) == str(path)
    ]
    probes = index.probe_all(dict.fromkeys(active), report)
    rows = tuple(
        _row(settings, table, path, _folder(settings, table, root), probes)
        for table, paths in found.items()
        for path in paths
    )
    return Survey(
        rows=rows,
        looked=tuple(tables),
        missing=missing,
        buckets=count_buckets(rows),
        several_lines={
            settings[f"{table}.id"]: _several_lines(rows, settings, table, _folder(settings, table, root))
            for table in found
        },
    )


def _several_lines(rows: Sequence[ClipRow], settings: Resolved, table: str, folder: Path) -> tuple[str, ...]:
    """Return the trained clips of a data set whose caption file has several lines."""
    if settings[f"{table}.caption_strategy"] != "textfile":
        return ()
    trained = (row.path for row in rows if row.dataset == settings[f"{table}.id"] and row.fate == "trained")
    return tuple(path for path in trained if has_several_lines(folder / path))


def _folder(settings: Resolved, table: str, root: Path) -> Path:
    return Path(os.path.normpath(root / settings[f"{table}.instance_data_dir"]))


def _clips(folder: Path) -> Iterator[Path]:
    """Yield the video files below a folder. Hidden files and folders are not looked at.

    Links are followed, and one that leads nowhere is yielded. A folder that links lead to more than once is
    looked at once, so that a circle of links has an end.
    """
    seen: set[tuple[int, int]] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        stat = os.stat(here)
        if (stat.st_dev, stat.st_ino) in seen:
            folders.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(here, name) for name in files if not name.startswith(".")):
            if path.suffix.lower() in VIDEO_SUFFIXES and (path.is_file() or not path.exists()):
                yield path


def _speakable(path: str) -> str:
    """Return a path as text. Bytes of its name that are not UTF-8 become backslash codes; nothing else changes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _row(settings: Resolved, table: str, path: Path, folder: Path, probes: Mapping[Path, Probe]) -> ClipRow:
    stat = path.stat() if path.exists() else None
    row = ClipRow(
        dataset=settings[f"{table}.id"],
        path=_speakable(path.relative_to(folder).as_posix()),
        fate="disabled",
        reason="the data set is disabled",
        size_bytes=0 if stat is None else stat.st_size,
        mtime_ns=0 if stat is None else stat.st_mtime_ns,
        repeats=settings[f"{table}.repeats"],
    )
    if not settings.in_use(table):
        return row
    if path not in probes:
        return replace(row, fate="quarantined", reason="has a path that is not UTF-8; rename it")
    facts = probes[path]
    row = replace(
        row,
        sha256=facts.sha256,
        codec=facts.codec,
        width=facts.width,
        height=facts.height,
        fps=facts.fps,
        frames=facts.frames,
        seconds=facts.seconds,
    )
    if facts.problem:
        return replace(row, fate="quarantined", reason=facts.problem)
    return _captioned(_placed(row, settings, table), path, settings, table)


def _placed(row: ClipRow, settings: Resolved, table: str) -> ClipRow:
    """Give a readable clip its bucket and window, or the reason why it has none."""
    video: dict[str, Any] = {
        key: settings[f"{table}.video.{key}"] for key in ("num_frames", "min_frames", "max_frames")
    }
    rate = settings["data.framerate"]
    available = frames_at(row.seconds, rate)
    place = fit(row.width, row.height, [parse_size(size) for size in settings["data.buckets"]])
    row = replace(
        row,
        fate="trained",
        reason="",
        frames_at_rate=available,
        framerate=rate,
        bucket_width=place.width,
        bucket_height=place.height,
        bucket_frames=sample_frames(available, video["num_frames"], settings.family),
        resize_width=place.resize_width,
        resize_height=place.resize_height,
        crop_left=place.crop_left,
        crop_top=place.crop_top,
    )
    length = f"{available} frames at {rate:g} fps ({row.seconds:.2f} s)"
    if available < video["min_frames"]:
        return replace(row, fate="filtered", reason=f"too short: {length}, min_frames is {video['min_frames']}")
    if video["max_frames"] is not None and available > video["max_frames"]:
        return replace(row, fate="filtered", reason=f"too long: {length}, max_frames is {video['max_frames']}")
    return row


def _captioned(row: ClipRow, path: Path, settings: Resolved, table: str) -> ClipRow:
    if row.fate != "trained":
        return row
    strategy = settings[f"{table}.caption_strategy"]
    try:
        caption = STRATEGIES[strategy](path, settings[f"{table}.instance_prompt"] or "")
    except CaptionError as error:
        return replace(row, fate="missing-caption", reason=str(error))
    if not caption:
        wanted = f"`{path.with_suffix('.txt').name}` is missing or empty" if strategy == "textfile" else "no caption"
        return replace(row, fate="missing-caption", reason=wanted)
    return replace(row, caption=caption, text=caption + motion_suffix(settings))
