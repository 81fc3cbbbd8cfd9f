"""The motion score of each clip, which its captions end with: from a table, or measured."""

import importlib.util
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from recipe_compiler.data.caption_table import CaptionTable
from recipe_compiler.data.captions import CaptionError, motion_suffix
from recipe_compiler.data.table import Layout
from recipe_compiler.settings import Resolved
from recipe_schema.canonical import digest
from recipe_schema.ledger import ClipRow, join_texts
from recipe_schema.motion import LARGEST_SCORE, NO_SCORE


if TYPE_CHECKING:
    from recipe_compiler.data.index import ProbeIndex, Report


def motion_layout(settings: Resolved, table: str, root: Path, captions: Layout | None) -> Layout | None:
    """Say where the motion scores of a data set are in a table; None where they are in none.

    Args:
        settings: Resolved settings.
        table: The data set.
        root: Where relative paths start.
        captions: Where its captions are in a table; None where they are in none.
    """
    motion = f"{table}.motion"
    source, column = settings[f"{motion}.source"], settings[f"{motion}.score_column"]
    if source == "column":
        assert captions is not None, "the settings go together"
        keys = {**captions.keys, "captions": f"{motion}.score_column"}
        return replace(
            captions, captions=(column,), fallback=None, weight=None, splits=False, keys=keys, what="motion score"
        )
    if source != "file":
        return None
    return Layout(
        file=Path(os.path.normpath(root / settings[f"{motion}.path"])),
        name=settings[f"{motion}.filename_column"],
        captions=(column,),
        endings=settings[f"{motion}.identifier_includes_extension"],
        keys={"file": f"{motion}.path", "name": f"{motion}.filename_column", "captions": f"{motion}.score_column"},
        what="motion score",
    )


def score_of(settings: Resolved, scores: CaptionTable | None, clip: Path) -> int | None:
    """Return the motion score of a clip: that of its table, or that of all clips.

    Raises:
        CaptionError: The table has none for it.
    """
    if scores is None:
        score: int | None = settings["data.motion_score"]
        return score
    try:
        text = " ".join(scores.rows_of(clip)[0].texts)
    except CaptionError as error:
        raise CaptionError(f"{NO_SCORE}: {error}") from None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= LARGEST_SCORE:
        raise CaptionError(f"{NO_SCORE}: `{text}` in `{scores.file.name}` is no number from 0 to {LARGEST_SCORE}")
    return int(number)


def is_measured(settings: Resolved, table: str) -> bool:
    """Say whether the motion of a data set's clips is measured."""
    return bool(settings[f"{table}.motion.source"] == "flow" and settings[f"{table}.dataset_type"] != "image")


def can_measure() -> bool:
    """Say whether there is what measures motion."""
    return importlib.util.find_spec("cv2") is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A clip whose motion is to be measured.

    Attributes:
        file: The clip.
        window: The frames that are trained, as `recipe_compiler.data.flow.Window` has them.
        key: What decides the answer: the clip's bytes, the window, and how motion is measured.
    """

    file: Path
    window: Mapping[str, float]
    key: str


def measured(
    rows: Sequence[ClipRow], settings: Resolved, folders: Mapping[str, Path], index: "ProbeIndex", report: "Report"
) -> tuple[ClipRow, ...]:
    """Measure the motion of clips, and end their texts with it.

    Args:
        rows: The ledger.
        settings: Resolved settings.
        folders: The folder of each data set whose clips are measured, by its id.
        index: Remembers what was measured.
        report: Called with clips done and their total.
    """
    wishes = {
        row.clip_id: _wish(row, folders[row.dataset], settings["data.framerate"])
        for row in rows
        if row.used and row.dataset in folders
    }
    answers = index.motion_of_all(list(wishes.values()), report)
    return tuple(
        _scored(row, answers[wishes[row.clip_id].key], settings) if row.clip_id in wishes else row for row in rows
    )


def _wish(row: ClipRow, folder: Path, framerate: float) -> Wish:
    from recipe_compiler.data.flow import FLOW_VERSION, Window  # noqa: PLC0415 - it needs OpenCV

    spacing = 1 / (row.framerate or row.fps)
    apart = round((row.starts[-1] - row.start_seconds) / spacing)  # one score holds for all windows of a clip
    window = Window(begin=row.start_seconds, spacing=spacing, frames=row.bucket_frames + apart, framerate=framerate)
    key = digest({"version": FLOW_VERSION, "clip": row.sha256, **asdict(window)})
    return Wish(file=folder / row.path, window=asdict(window), key=key)


def _scored(row: ClipRow, answer: "float | str", settings: Resolved) -> ClipRow:
    if isinstance(answer, str):
        return replace(row, fate="quarantined", reason=f"{NO_SCORE}: {answer}", text="", more_texts="", text_shares="")
    suffix = motion_suffix(settings, min(int(answer), LARGEST_SCORE))
    text, *more = (text + suffix for text in row.texts)
    return replace(row, text=text, more_texts=join_texts(more))
