"""The survey: every clip of every data set becomes a row of the ledger."""

import functools
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipe_compiler.data.caption_table import CaptionTable
from recipe_compiler.data.captions import (
    COLUMNS,
    LISTS,
    TABLES,
    WEIGHTS,
    CaptionError,
    Captions,
    caption_source,
    captioner,
    motion_suffix,
    weight_column,
)
from recipe_compiler.data.crop import cut, cut_shape
from recipe_compiler.data.facts import Survey, TableProblem, Unfetched, count_buckets
from recipe_compiler.data.fetched import why_unfetched
from recipe_compiler.data.filters import TOO_SHORT, choose, why_left_out, without_twins
from recipe_compiler.data.first_images import image_files, look_at_images
from recipe_compiler.data.geometry import fit, frames_at, parse_size, resolution_of, sample_frames, target_size
from recipe_compiler.data.index import ProbeIndex, Report, stamp
from recipe_compiler.data.masks import MaskFolder, mask_files, mask_tables, pair
from recipe_compiler.data.motion import is_measured, measured, motion_layout, score_of
from recipe_compiler.data.probe import Probe, suffixes
from recipe_compiler.data.prompt_lists import CLIPS, list_layout, read_lists
from recipe_compiler.data.set_apart import set_apart
from recipe_compiler.data.table import Layout, TableError
from recipe_compiler.data.windows import first_frames
from recipe_compiler.settings import Resolved
from recipe_schema.ledger import ClipRow, join_shares, join_starts, join_texts


if TYPE_CHECKING:
    from recipe_compiler.data.manifest import ManifestCaptions


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A data set whose folder is there.

    Attributes:
        table: Its settings, as in ``data.datasets.0``.
        folder: Its folder.
        clips: The files in it, in order of path.
        captions: Its table of captions; None where captions come from elsewhere, or from files that a table became.
        scores: Its table of motion scores; None where they come from elsewhere.
    """

    table: str
    folder: Path
    clips: tuple[Path, ...]
    captions: "CaptionTable | ManifestCaptions | None"
    scores: CaptionTable | None


def survey(
    settings: Resolved, root: Path, tables: Sequence[str], *, index: ProbeIndex, report: Report, measuring: Report
) -> Survey:
    """Look at data sets.

    Args:
        settings: Resolved settings.
        root: Where relative paths start.
        tables: The data sets to look at, as in ``data.datasets.0``. Nothing is wrong with their settings.
        index: Remembers unchanged files.
        report: Called with files done and their total.
        measuring: Called with clips whose motion is measured, and their total.
    """
    missing: dict[str, Path] = {}
    problems: dict[str, tuple[TableProblem, ...]] = {}
    unfetched: dict[str, Unfetched] = {}
    found = tuple(_folders(settings, root, tables, missing, problems, unfetched))
    masks = tuple(_masks(settings, root, found, missing))
    images = image_files(settings, root)
    active = _active(settings, found)
    pictures = [path for path in images.values() if path.is_file()]
    wanted = [*active, *(file for folder in masks for file in folder.files), *pictures]
    probes = index.probe_all(dict.fromkeys(wanted), report)
    several: dict[Path, int] = {}
    clips: Sequence[ClipRow] = [row for dataset in found for row in _rows(settings, dataset, probes, several)]
    moving = [dataset for dataset in found if is_measured(settings, dataset.table)]
    if moving:
        folders = {settings[f"{dataset.table}.id"]: dataset.folder for dataset in moving}
        clips = measured(clips, settings, folders, index, measuring)
    rows, of_masks = pair(clips, masks, probes, frozenset(active))
    return Survey(
        rows=rows,
        looked=tuple(table for table in tables if table not in problems),
        missing=missing,
        buckets=count_buckets(rows),
        tables={each.file: each.sha256 for f in found for each in (f.captions, f.scores) if each is not None},
        problems=tuple(problem for several in problems.values() for problem in several),
        unfetched=unfetched,
        several_lines={
            name: _several_lines(rows, name, f.folder, several) for f in found for name in (settings[f"{f.table}.id"],)
        },
        with_lists=tuple(f.table for f in found if f.captions is None and (f.folder / CLIPS).is_file()),
        masks=of_masks,
        images=look_at_images(settings, images, probes),
    )


def _folders(
    settings: Resolved,
    root: Path,
    tables: Sequence[str],
    missing: dict[str, Path],
    problems: dict[str, tuple[TableProblem, ...]],
    unfetched: dict[str, Unfetched],
) -> Iterator[_Found]:
    """Yield the data sets whose folders are there, and note why others are not."""
    for table in tables:
        folder = _folder(settings, table, root)
        try:
            why = why_unfetched(settings, table, root, folder)
            if why is not None:
                missing[table], unfetched[table] = folder, why
            elif os.path.isdir(folder):  # unlike Path.is_dir, it takes a name that is too long for no folder
                yield _find(settings, table, root)
            elif settings.in_use(table):
                missing[table] = folder
        except TableError as error:
            problems[table] = error.problems


def _active(settings: Resolved, found: Sequence[_Found]) -> list[Path]:
    """Return the files of data sets in use whose paths can be said."""
    return [
        path
        for dataset in found
        if settings.in_use(dataset.table)
        for path in dataset.clips
        if _speakable(str(path)) == str(path)
    ]


def _masks(settings: Resolved, root: Path, found: Sequence[_Found], missing: dict[str, Path]) -> Iterator[MaskFolder]:
    """Yield the folders of masks of all data sets that are trained, and note those that are missing."""
    for dataset in found:
        for table in mask_tables(settings, dataset.table):
            folder = _folder(settings, table, root)
            if os.path.isdir(folder):
                beside = dataset.clips if folder == dataset.folder else ()
                yield MaskFolder(
                    table=table,
                    dataset=settings[f"{table}.id"],
                    clips=settings[f"{dataset.table}.id"],
                    folder=folder,
                    files=tuple(file for file in mask_files(folder) if file not in beside),
                    labels=settings[f"{table}.conditioning_type"] == "segmentation",
                )
            else:
                missing[table] = folder


def _several_lines(rows: Sequence[ClipRow], name: str, folder: Path, several: Mapping[Path, int]) -> Mapping[str, int]:
    """Return the clips of a data set that are used and whose caption file has several lines, and how many."""
    return {
        row.path: several[folder / row.path]
        for row in rows
        if several and row.dataset == name and row.used and folder / row.path in several
    }


def _folder(settings: Resolved, table: str, root: Path) -> Path:
    return Path(os.path.normpath(root / settings[f"{table}.instance_data_dir"]))


def _find(settings: Resolved, table: str, root: Path) -> _Found:
    folder = _folder(settings, table, root)
    endings = suffixes(settings[f"{table}.dataset_type"])
    clips = tuple(map(Path, sorted(_clips(folder, endings))))
    source = caption_source(settings, table) if settings.in_use(table) else ""
    layout = _layout(settings, table, root) if source in TABLES else None
    captions: CaptionTable | ManifestCaptions | None = None
    if layout is not None:
        captions = CaptionTable(layout, folder, clips)
    elif source == LISTS:
        splits = settings[f"{table}.multiline"] == "split"
        numbered = splits and settings[f"{table}.caption_weights"] is not None
        captions = CaptionTable(list_layout(folder, table, splits=splits, numbered=numbered), folder, clips, read_lists)
    elif source == "fetched":
        from recipe_compiler.data.manifest import weighted_captions  # noqa: PLC0415 - most data sets are no table

        captions = weighted_captions(settings, table, root)
    scored = motion_layout(settings, table, root, layout) if settings.in_use(table) else None
    scores = CaptionTable(scored, folder, clips) if scored is not None else None
    return _Found(table=table, folder=folder, clips=clips, captions=captions, scores=scores)


def _layout(settings: Resolved, table: str, root: Path) -> Layout:
    """Say where the captions of a data set are in its table."""
    source = settings[f"{table}.caption_strategy"]
    csv = source == "csv"
    parquet = f"{table}.parquet"
    keys = {
        "file": f"{table}.{TABLES[source]}",
        "name": f"{table}.csv_url_column" if csv else f"{parquet}.filename_column",
        "captions": f"{table}.{COLUMNS[source]}",
    }
    weight, splits = weight_column(settings, table), settings[f"{table}.multiline"] == "split"
    return Layout(
        file=Path(os.path.normpath(root / settings[keys["file"]])),
        name=settings[keys["name"]],
        captions=tuple(settings[keys["captions"]]),
        fallback=None if csv else settings[f"{parquet}.fallback_caption_column"],
        weight=None if weight is None else weight[1],
        endings=csv or settings[f"{parquet}.identifier_includes_extension"],
        splits=splits,
        numbered=splits and settings[f"{table}.caption_weights"] is not None,
        keys={
            **keys,
            "fallback": f"{parquet}.fallback_caption_column",
            "weight": f"{table}.{WEIGHTS[source]}",
            "numbers": f"{table}.caption_weights",
        },
    )


def _clips(folder: Path, endings: Collection[str]) -> Iterator[str]:
    """Yield the files of some endings below a folder. Hidden files and folders are not looked at.

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
        for name in files:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in endings:
                path = os.path.join(here, name)
                if os.path.isfile(path) or not os.path.exists(path):
                    yield path


def _speakable(path: str) -> str:
    """Return a path as text. Bytes of its name that are not UTF-8 become backslash codes; nothing else changes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _rows(
    settings: Resolved, dataset: _Found, probes: Mapping[Path, Probe], several: dict[Path, int]
) -> tuple[ClipRow, ...]:
    """Return the rows of a data set."""
    if not settings.in_use(dataset.table):
        seen = (_seen(settings, dataset, path, Probe()) for path in dataset.clips)
        return tuple(replace(row, fate="disabled", reason="the data set is disabled") for row in seen)
    captions_of = captioner(settings, dataset.table, dataset.captions, several)
    rows: Sequence[ClipRow] = [_row(settings, dataset, path, probes, captions_of) for path in dataset.clips]
    rows = rows if settings["data.on_duplicate"] == "train" else without_twins(rows)
    return set_apart(choose(rows, settings[f"{dataset.table}.max_num_samples"]), settings, dataset.table)


def _row(
    settings: Resolved,
    dataset: _Found,
    path: Path,
    probes: Mapping[Path, Probe],
    captions_of: Callable[[Path], Captions],
) -> ClipRow:
    facts = probes.get(path) or Probe(problem="has a path that is not UTF-8; rename it")
    row = _seen(settings, dataset, path, facts)
    if facts.problem:
        return replace(row, fate="quarantined", reason=facts.problem)
    row = _placed(row, settings, dataset.table)
    if facts.damaged and row.reason.startswith(TOO_SHORT):
        row = replace(row, reason=f"{row.reason}; the file is damaged from there on")
    return _captioned(row, path, settings, dataset, captions_of)


def _seen(settings: Resolved, dataset: _Found, path: Path, facts: Probe) -> ClipRow:
    """Return what is known of a file before anything is decided."""
    size, mtime = stamp(path) or (0, 0)
    return ClipRow(
        dataset=settings[f"{dataset.table}.id"],
        path=_speakable(path.relative_to(dataset.folder).as_posix()),
        fate="trained",
        size_bytes=size,
        mtime_ns=mtime,
        repeats=settings[f"{dataset.table}.repeats"],
        sha256=facts.sha256,
        codec=facts.codec,
        audio=facts.audio,
        rotation=facts.rotation,
        width=facts.width,
        height=facts.height,
        fps=facts.fps,
        lowest_fps=facts.lowest_fps,
        highest_fps=facts.highest_fps,
        frames=facts.frames,
        seconds=facts.seconds,
        damaged=int(facts.damaged),
    )


def _placed(row: ClipRow, settings: Resolved, table: str) -> ClipRow:
    """Give a readable clip its bucket and window, or the reason why it has none."""
    place = cut(fit(row.width, row.height, _sizes(row, settings, table)), settings[f"{table}.crop_style"], row.clip_id)
    row = replace(
        row,
        bucket_width=place.width,
        bucket_height=place.height,
        resize_width=place.resize_width,
        resize_height=place.resize_height,
        crop_left=place.crop_left,
        crop_top=place.crop_top,
        **_window(row, settings, table),
    )
    reason = why_left_out(row, settings, table)
    return replace(row, fate="filtered", reason=reason) if reason else row


def _sizes(row: ClipRow, settings: Resolved, table: str) -> list[tuple[int, int]]:
    """Return the sizes that a clip may be trained at: that of its shape or of its crop's, or those of all buckets."""
    if settings[f"{table}.resolution"] is None:
        return _parsed(tuple(settings["data.buckets"]))
    shape = cut_shape(row.width, row.height, settings.__getitem__, table, row.clip_id)
    return [target_size(*shape, resolution_of(settings.__getitem__, table))]


@functools.cache
def _parsed(sizes: tuple[str, ...]) -> list[tuple[int, int]]:
    return [parse_size(size) for size in sizes]


def _window(row: ClipRow, settings: Resolved, table: str) -> dict[str, Any]:
    """Say which frames of a clip are used. A picture is one frame, at no rate."""
    if settings[f"{table}.dataset_type"] == "image":
        return {"frames_at_rate": 1, "bucket_frames": 1}
    video = f"{table}.video"
    rate = 0.0 if settings[f"{video}.fps"] == "ignore" else settings["data.framerate"]
    available = frames_at(row.seconds, rate) if rate else row.frames
    rounds = settings[f"{video}.bucket_strategy"] == "resolution_frames"
    interval = settings[f"{video}.frame_interval"] if rounds else None
    used = sample_frames(available, settings[f"{video}.num_frames"], settings.family, interval)
    window, most = settings[f"{video}.window"], settings[f"{video}.max_windows"]
    frames = first_frames(window, available, used, most=most, content=row.sha256)
    first, *others = (frame / (rate or row.fps) for frame in frames)
    return {
        "frames_at_rate": available,
        "framerate": rate,
        "bucket_frames": used,
        "start_seconds": first,
        "more_starts": join_starts(others),
        "drawn": int(bool(others) and window == "random"),
    }


def _captioned(
    row: ClipRow, path: Path, settings: Resolved, dataset: _Found, captions_of: Callable[[Path], Captions]
) -> ClipRow:
    if row.fate != "trained":
        return row
    try:
        captions = captions_of(path)
        suffix = _suffix(settings, dataset, path)
    except CaptionError as error:
        return replace(row, fate="missing-caption", reason=str(error))
    text, *more = (caption + suffix for caption in captions.texts)
    return replace(
        row,
        caption=captions.texts[0],
        text=text,
        more_texts=join_texts(more),
        text_shares=join_shares(captions.shares),
    )


def _suffix(settings: Resolved, dataset: _Found, path: Path) -> str:
    """Return what the texts of a clip end with, as far as it is known before motion is measured."""
    if is_measured(settings, dataset.table) or settings[f"{dataset.table}.dataset_type"] == "image":
        return ""
    return motion_suffix(settings, score_of(settings, dataset.scores, path))
