"""What becomes of one clip, and why."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from recipe_compiler.cli.explain_store import stocks
from recipe_compiler.data.facts import data_folders
from recipe_compiler.diagnostics.render_json import FORMAT_VERSION
from recipe_compiler.passes.figures import amount, speed_of
from recipe_compiler.subject import Subject
from recipe_compiler.suggest import near
from recipe_schema.ledger import ClipRow
from recipe_schema.shares import plain


_SHOWN = 8
"""Windows of which it is said where they start."""

_WINDOW = re.compile(r"#\d+\Z")
"""What stands behind a clip's name in messages about one of its windows."""


def find_clip(subject: Subject, rows: Sequence[ClipRow], name: str) -> list[ClipRow]:
    """Return the rows of a file, one for each data set that holds it.

    Args:
        subject: A recipe or a plan.
        rows: Its ledger.
        name: The file's path, its path below the data set's folder, or that with the data set's id before it. The number
            of a window may stand behind it, as in messages of a run.
    """
    folders, name = data_folders(subject.values(), subject.root), _WINDOW.sub("", name)
    wanted = Path(name).absolute()
    return [r for r in rows if name in (r.path, r.clip_id) or (folders[r.dataset] / r.path).absolute() == wanted]


def no_such_clip(rows: Sequence[ClipRow], name: str) -> str:
    """Say that no data set holds a file, and which one may be meant."""
    meant = near(name, [row.path for row in rows])
    return f"error: no data set holds `{name}`" + (f"; did you mean `{meant}`?" if meant else "")


def clips_json(subject: Subject, rows: Sequence[ClipRow]) -> dict[str, Any]:
    """Return the rows of a clip as JSON values, and what the store has of it."""
    clips = [{**asdict(row), "store": {s.kind: s.values() for s in stocks(subject, row)}} for row in rows]
    return {"format_version": FORMAT_VERSION, "clips": clips}


def clip_text(subject: Subject, row: ClipRow, shares: Mapping[str, Fraction]) -> str:
    """Tell the story of a clip in one data set.

    Args:
        subject: The recipe or plan that has it.
        row: Its row in the ledger.
        shares: The share of its samples that an epoch takes of each data set that is trained.
    """
    rows = [("fate", row.fate + (f": {row.reason}" if row.reason else ""))]
    picture = row.codec and not row.fps
    if picture:
        rows.append(("file", f"{row.width}x{row.height}, {row.codec}"))
    elif row.codec:
        rows.append(("file", _file(row)))
    if row.bucket_width:
        rate = f"at {row.framerate:g} fps" if row.framerate else f"as they follow each other{_speed(row, subject)}"
        window = f"{row.bucket_frames} of {row.frames_at_rate} frames {rate}, {_from(row)}"
        scale = f"resized to {row.resize_width}x{row.resize_height}, cropped at {row.crop_left},{row.crop_top}"
        rows += [("bucket", f"{row.bucket}: {scale}"), *(() if picture else [("window", window)])]
    if row.text:
        rows += [
            ("caption", row.caption),
            *((("encoded", "or")[index > 0], text) for index, text in enumerate(_texts(row))),
        ]
    if row.fate == "trained":
        times = plain((row.repeats + 1) * shares[row.dataset])
        mean = "" if shares[row.dataset] == 1 else " in the mean"
        often = "once" if times == 1 else f"{amount(times)} times"
        what = "each window is seen" if len(row.items) > 1 else "seen"
        # Where images have steps of their own, they take their time: an epoch is a pass through the videos.
        own = picture and subject.values()["data.image_interval"] is not None
        turn = "a pass of the images" if own else "an epoch"
        rows.append(("repeats", f"{row.repeats}: {what} {often} {turn}{mean}"))
    if row.mask_sha256:
        rows.append(("mask", f"{row.mask_dataset}/{row.mask_path}, sha256 {row.mask_sha256}"))
    rows += [(stock.kind, stock.text()) for stock in stocks(subject, row)]
    if row.sha256:
        rows.append(("sha256", row.sha256))
    return f"{row.clip_id}\n" + "\n".join(f"  {name:<9}{text}" for name, text in rows)


def _file(row: ClipRow) -> str:
    """Say what a video file is."""
    varies = f" in the mean, from {row.lowest_fps:.4g} to {row.highest_fps:.4g}" if row.highest_fps else ""
    facts = [
        f"{row.width}x{row.height}",
        f"{row.frames} frames at {row.fps:.4g} fps{varies} ({row.seconds:.2f} s)",
        *(["damaged from there on"] if row.damaged else []),
        row.codec,
        *([f"turned by {abs(row.rotation)}°"] if row.rotation else []),
        *([f"with sound ({row.audio})"] if row.audio else []),
    ]
    return ", ".join(facts)


def _speed(row: ClipRow, subject: Subject) -> str:
    """Say how fast a clip plays whose frames are not resampled."""
    speed = speed_of(row, subject.value("data.framerate"))
    return "" if speed == 1 else f", {speed:.3g} times as fast"


def _texts(row: ClipRow) -> list[str]:
    """Return the texts of a clip, and how often each is drawn where they are not drawn alike."""
    often = [f" (in {share:.4g} of samples)" for share in row.shares] or [""] * len(row.texts)
    return [text + share for text, share in zip(row.texts, often, strict=True)]


def _from(row: ClipRow) -> str:
    """Say where the windows of a clip start, and which of them a sample has."""
    starts = [f"{start:g}" for start in row.starts]
    if len(starts) == 1:
        return f"from {starts[0]} s"
    more = f" and {len(starts) - _SHOWN} more" if len(starts) > _SHOWN else ""
    use = "of which each sample has one" if row.drawn else "each a sample of its own"
    return f"in {len(starts)} windows, {use}, from {', '.join(starts[:_SHOWN])} s{more}"
