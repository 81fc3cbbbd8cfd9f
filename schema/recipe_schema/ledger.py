"""The ledger: one row for every file that was found, with what becomes of it and why.

It is stored as ``ledger.parquet`` inside the plan. This module states its columns; reading and writing Parquet
is left to either side.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from recipe_schema.canonical import digest


Fate = Literal["trained", "evaluated", "filtered", "quarantined", "duplicate", "missing-caption", "disabled"]
"""What becomes of a file. The counts of all fates add up to the files found."""

FATES: tuple[Fate, ...] = get_args(Fate)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRow:
    """One file of one data set.

    Attributes:
        dataset: Id of the data set.
        path: Path below the data set's folder, with ``/``.
        fate: What becomes of the file.
        reason: Why, with numbers. Empty for a trained clip.
        sha256: Of the file's bytes, hexadecimal.
        size_bytes: Size of the file.
        mtime_ns: Its modification time, nanoseconds since 1970.
        codec: Video codec, as FFmpeg names it.
        audio: Codec of its sound, which is not used; empty if there is none.
        rotation: Degrees by which the file says that it is to be turned counterclockwise, which is done: -90, 90 or 180.
        width: Width as shown, in pixels.
        height: Height as shown, in pixels.
        fps: Mean frame rate of the source.
        lowest_fps: Where the rate varies, that of the frame that is longest on the screen; else 0.
        highest_fps: Where the rate varies, that of the shortest; else 0.
        frames: Frames in the source.
        seconds: Time from the first frame to the end of the last.
        damaged: 1 if the file goes on, damaged: frames and seconds are what comes before.
        frames_at_rate: Frames after resampling to ``framerate``; all frames where that is 0.
        bucket_width: Width of the training sample, in pixels.
        bucket_height: Height of the training sample, in pixels.
        bucket_frames: Frames of the training sample.
        framerate: Frame rate of the training sample; 0 where it takes frames as they follow each other.
        start_seconds: Where the sample starts in the source; with framerate 0 it is the first frame's number / ``fps``.
        resize_width: Width after resizing and before cropping.
        resize_height: Height after resizing and before cropping.
        crop_left: Columns cut on the left.
        crop_top: Rows cut at the top.
        caption: The caption as found.
        text: The text that is encoded: the caption with the motion score. The first, of several.
        repeats: Extra passes of each epoch.
        more_texts: The other texts of a clip that has several, as a JSON list; empty for a clip of one.
        mask_dataset: Id of the data set that holds the clip's mask; empty where the whole clip counts.
        mask_path: The mask's path below that data set's folder.
        mask_sha256: Of the mask's bytes, hexadecimal.
        mask_size_bytes: Size of the mask's file.
        mask_mtime_ns: Its modification time, nanoseconds since 1970.
        more_starts: Where the other windows of a clip start that has several, in seconds, as a JSON list in rising order;
            ``start_seconds`` is the first one's. Empty for a clip of one.
        drawn: 1 if each sample has one of the windows, drawn for it; 0 if each window is a sample of its own.
        text_shares: In which share of samples each text is drawn, as a JSON list; empty where all are drawn alike.
        window: Which of several windows the row stands for, from 1; 0 for a whole file, as in every row of a ledger.
    """

    dataset: str
    path: str
    fate: Fate
    reason: str = ""
    sha256: str = ""
    size_bytes: int = 0
    mtime_ns: int = 0
    codec: str = ""
    audio: str = ""
    rotation: int = 0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    lowest_fps: float = 0.0
    highest_fps: float = 0.0
    frames: int = 0
    seconds: float = 0.0
    damaged: int = 0
    frames_at_rate: int = 0
    bucket_width: int = 0
    bucket_height: int = 0
    bucket_frames: int = 0
    framerate: float = 0.0
    start_seconds: float = 0.0
    resize_width: int = 0
    resize_height: int = 0
    crop_left: int = 0
    crop_top: int = 0
    caption: str = ""
    text: str = ""
    repeats: int = 0
    more_texts: str = ""
    mask_dataset: str = ""
    mask_path: str = ""
    mask_sha256: str = ""
    mask_size_bytes: int = 0
    mask_mtime_ns: int = 0
    more_starts: str = ""
    drawn: int = 0
    text_shares: str = ""
    window: int = 0

    @property
    def used(self) -> bool:
        """Whether the clip is trained or measured, so that it is encoded."""
        return self.fate in ("trained", "evaluated")

    @property
    def clip_id(self) -> str:
        """Name of the clip, or of one of its windows, in the order of samples, in noise seeds and in messages."""
        return f"{self.dataset}/{self.path}" + (f"#{self.window}" if self.window else "")

    @property
    def starts(self) -> tuple[float, ...]:
        """Where the windows of the clip start, in seconds."""
        return (self.start_seconds, *json.loads(self.more_starts)) if self.more_starts else (self.start_seconds,)

    @property
    def windows(self) -> tuple["ClipRow", ...]:
        """The windows of the clip, all of which are encoded: a row for each. One window is the row itself."""
        if not self.more_starts:
            return (self,)
        return tuple(
            replace(self, start_seconds=start, more_starts="", drawn=0, window=number)
            for number, start in enumerate(self.starts, start=1)
        )

    @property
    def items(self) -> tuple["ClipRow", ...]:
        """What an epoch takes ``repeats + 1`` times: each window, or the clip where a window of it is drawn."""
        return (self,) if self.drawn else self.windows

    @property
    def samples(self) -> int:
        """Samples of an epoch that takes all."""
        return (1 if self.drawn else len(self.starts)) * (self.repeats + 1)

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts of the clip, of which each sample has one."""
        return (self.text, *json.loads(self.more_texts)) if self.more_texts else (self.text,)

    @property
    def shares(self) -> tuple[float, ...]:
        """In which share of samples each of ``texts`` is drawn: together 1, or empty where all are drawn alike."""
        return tuple(json.loads(self.text_shares)) if self.text_shares else ()

    @property
    def bucket(self) -> str:
        """Name of the clip's bucket, as in ``832x480@81``."""
        return f"{self.bucket_width}x{self.bucket_height}@{self.bucket_frames}"


COLUMNS: tuple[tuple[str, type], ...] = tuple(
    (f.name, str if f.name == "fate" else f.type)  # type: ignore[misc]
    for f in fields(ClipRow)
    if f.name != "window"
)
"""Every column with its Python type: str, int (64 bit) or float (64 bit)."""

_SHAPES_RESULT = (
    "dataset",
    "path",
    "sha256",
    "bucket_width",
    "bucket_height",
    "bucket_frames",
    "framerate",
    "start_seconds",
    "resize_width",
    "resize_height",
    "crop_left",
    "crop_top",
    "text",
    "repeats",
)


def ledger_digest(rows: Iterable[ClipRow]) -> str:
    """Hash what shapes training: the trained clips, their content, geometry and texts, in order of name.

    Files that were left out, modification times and other facts for people do not enter. Further texts and windows enter
    where there are some, so that plans of clips with one of each keep their ids.
    """
    trained = sorted((row for row in rows if row.fate == "trained"), key=lambda row: row.clip_id)
    return digest([_shape(row) for row in trained])


_OF_TRAINING_ALONE = ("dataset", "path", "text", "repeats")
"""What shapes training, and nothing that is encoded of a clip."""


def encoded_digest(rows: Iterable[ClipRow]) -> str:
    """Hash what is encoded of clips: the content, geometry and windows of those that are trained or measured.

    Captions, names and repeats don't enter: another caption leaves every latent as it was.
    """
    names = [name for name in _SHAPES_RESULT if name not in _OF_TRAINING_ALONE]
    facts = ([getattr(row, name) for name in names] + [row.more_starts, row.mask_sha256] for row in rows if row.used)
    return digest(sorted(facts))


def _shape(row: ClipRow) -> list[Any]:
    """Return what of a row enters the digest. Further texts, further windows and a mask do where there are some."""
    facts = [getattr(row, name) for name in _SHAPES_RESULT]
    if row.more_texts:
        facts.append(row.more_texts)
    if row.text_shares:
        facts.append(row.text_shares)
    if row.more_starts:
        facts += [row.more_starts, row.drawn]
    return [*facts, row.mask_path, row.mask_sha256] if row.mask_sha256 else facts


def join_texts(texts: Sequence[str]) -> str:
    """Write texts as `ClipRow.more_texts` holds them."""
    return json.dumps(list(texts), ensure_ascii=False) if texts else ""


def join_shares(shares: Sequence[float]) -> str:
    """Write shares of texts as `ClipRow.text_shares` holds them."""
    return json.dumps(list(shares)) if shares else ""


def join_starts(starts: Sequence[float]) -> str:
    """Write starts of windows, in seconds, as `ClipRow.more_starts` holds them."""
    return json.dumps(list(starts)) if starts else ""


def to_columns(rows: Sequence[ClipRow]) -> dict[str, list[Any]]:
    """Turn rows into columns, for a Parquet writer."""
    return {name: [getattr(row, name) for row in rows] for name, _ in COLUMNS}
