"""Contact sheets: clips as pictures, which need no player and can be printed.

A clip's sheet has some of its frames in a row. The sheet of a prompt has those rows below each other, one for each step
whose clip there is, so that one look shows what training changed.
"""

import re
from collections.abc import Sequence
from glob import escape
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from recipe_runtime.clip_score import evenly
from recipe_runtime.errors import MediaError
from recipe_schema.files import write_atomically


STEPS_FOLDER = "steps"
"""Where the sheets of prompts lie, below the folder of clips."""

_FRAMES = 8
_LONGEST_SIDE = 208
"""Of a frame, in pixels: eight of 832x480 make a picture that fits a screen."""

_GAP = 4
_LABEL_WIDTH = 104
_MOST_ROWS = 12
_PAPER, _INK = (250, 250, 250), (27, 31, 36)
_QUALITY = 90
_STEP = re.compile(r"step-(\d{8,})")


def sheet_path(clip: Path) -> Path:
    """Return where the sheet of a clip lies: beside it."""
    return clip.with_suffix(".jpg")


def write_sheet(path: Path, frames: NDArray[np.uint8]) -> None:
    """Write the sheet of a clip: frames evenly spaced from the first to the last, in a row.

    Args:
        path: The file, ending in ``.jpg``. Its folder must exist.
        frames: (frames, height, width, 3), RGB.

    Raises:
        MediaError: It can't be written.
    """
    height, width = frames.shape[1:3]
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    chosen = evenly(len(frames), _FRAMES)
    row = Image.new("RGB", (len(chosen) * (size[0] + _GAP) - _GAP, size[1]), _PAPER)
    for place, number in enumerate(chosen):
        frame = Image.fromarray(frames[number]).resize(size, Image.Resampling.LANCZOS)
        row.paste(frame, (place * (size[0] + _GAP), 0))
    _write(path, row)


def write_steps_sheet(folder: Path, name: str, *, until: int) -> tuple[Path, tuple[int, ...]] | None:
    """Write the sheet of a prompt: the sheets of its clips below each other, each with its step.

    Args:
        folder: The folder of clips, with a folder for each step.
        name: Of the prompt's clips, without ending.
        until: The last step that is shown: later ones may be left of what was trained before a run was taken up earlier.

    Returns:
        The file, and the steps that it shows: of many the first, the last, and what lies evenly between. None if no
        clip has a sheet.

    Raises:
        MediaError: A sheet can't be read, or this one can't be written.
    """
    found = sorted(
        (int(match[1]), path)
        for path in folder.glob(f"step-*/{escape(name)}.jpg")
        if (match := _STEP.fullmatch(path.parent.name)) and int(match[1]) <= until
    )
    if not found:
        return None
    chosen = [found[place] for place in evenly(len(found), _MOST_ROWS)]
    try:
        rows = [(step, Image.open(BytesIO(path.read_bytes())).convert("RGB")) for step, path in chosen]
    except (OSError, ValueError) as error:
        raise MediaError(
            f"a contact sheet of {name} can't be read: {error}; delete it, and the next one is drawn without"
        ) from error
    target = folder / STEPS_FOLDER / f"{name}.jpg"
    _write(target, _stacked(rows))
    return target, tuple(step for step, _ in rows)


def _stacked(rows: Sequence[tuple[int, Image.Image]]) -> Image.Image:
    """Put rows below each other, with their steps at the left."""
    width = _LABEL_WIDTH + max(row.width for _, row in rows)
    whole = Image.new("RGB", (width, sum(row.height + _GAP for _, row in rows) - _GAP), _PAPER)
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(size=14)
    top = 0
    for step, row in rows:
        pen.text((6, top + row.height / 2), f"step {step}" if step else "before", fill=_INK, font=font, anchor="lm")
        whole.paste(row, (_LABEL_WIDTH, top))
        top += row.height + _GAP
    return whole


def _write(path: Path, picture: Image.Image) -> None:
    content = BytesIO()
    picture.save(content, "JPEG", quality=_QUALITY)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise MediaError(f"{path} can't be written: {error}; check the disk and run the same command again") from error
