"""What is in a folder of clips: the survey's answers, and where captions are."""

import csv
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from recipe_compiler.pipeline import Options, compile_source
from recipe_compiler.source import Source
from recipe_compiler.wizard.quoting import quoted
from recipe_schema.ledger import ClipRow


CaptionKind = Literal["textfile", "parquet", "filename", "none"]
"""Where captions are: files beside the clips, a table, the names of the clips, or nowhere."""

_TABLES = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
_NAMES = ("file_name", "filename", "file", "path", "video", "clip")
_CAPTIONS = ("caption", "captions", "text", "prompt", "description")
_WORDS = 3
"""A file name of so many words is a caption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionsFound:
    """Where captions are.

    Attributes:
        kind: The place.
        count: How many clips have one there.
        table: The table, for ``parquet``.
        columns: Its columns of file names and captions.
        endings: Whether file names in the table have their endings.
        example: The caption of one clip.
    """

    kind: CaptionKind
    count: int = 0
    table: Path | None = None
    columns: tuple[str, str] = ("", "")
    endings: bool = True
    example: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is in a folder of clips.

    Attributes:
        folder: The folder.
        clips: Those that can be read, one at least.
        unreadable: How many can't be.
        captions: Where their captions are.
    """

    folder: Path
    clips: tuple[ClipRow, ...]
    unreadable: int
    captions: CaptionsFound

    @property
    def text(self) -> str:
        """The folder in a few words: how many clips, of which sizes and lengths, with which captions."""
        sizes = [f"{w}x{h}" for w, h in sorted({(clip.width, clip.height) for clip in self.clips}, reverse=True)]
        seconds = sorted(clip.seconds for clip in self.clips)
        lost = f", {self.unreadable} that can't be read" if self.unreadable else ""
        return (
            f"{_counted(len(self.clips), 'clip')}{lost}; {', '.join(sizes[:_SHOWN])}"
            f"{f' and {len(sizes) - _SHOWN} more sizes' if len(sizes) > _SHOWN else ''}; "
            f"{seconds[0]:.3g} to {seconds[-1]:.3g} seconds, half of them {median(seconds):.3g} or more; "
            f"{self._captions()}"
        )

    def _captions(self) -> str:
        have = f"{self.captions.count} of {len(self.clips)} captions"
        match self.captions.kind:
            case "textfile":
                return f"{have} in .txt files beside them"
            case "parquet":
                assert self.captions.table is not None, "a table was found"
                return f"captions in {self.captions.table.name}"
            case "filename":
                return "captions in their names"
            case _:
                return "no captions"


_SHOWN = 3


class NoClipsError(ValueError):
    """A folder has nothing to train."""


def look_at(folder: Path, options: Options) -> Look:
    """Look at a folder of clips.

    Args:
        folder: The folder.
        options: How to look, see `recipe_compiler.pipeline.Options`.

    Raises:
        NoClipsError: There is no such folder, or no video in it that can be read.
    """
    if not folder.is_dir():
        raise NoClipsError(f"`{folder}` is no folder; name the folder that your clips are in")
    text = (
        f"recipe: 1\ndata:\n  datasets:\n    - id: clips\n      instance_data_dir: {quoted(str(folder.absolute()))}\n"
        "      caption_strategy: instanceprompt\n      instance_prompt: a\n      video: {num_frames: 1}\n"
    )
    survey = compile_source(Source("look.yaml", text), folder / "look.yaml", options).survey
    assert survey is not None, "the text has no mistakes"
    clips = survey.trained()
    if not clips:
        why = f": {survey.rows[0].reason}" if survey.rows else "; mp4, mov, mkv, webm and others are looked for"
        raise NoClipsError(f"`{folder}` holds no video that can be read{why}")
    captions = _find_captions(folder, clips)
    return Look(folder=folder, clips=clips, unreadable=len(survey.rows) - len(clips), captions=captions)


def _find_captions(folder: Path, clips: Sequence[ClipRow]) -> CaptionsFound:
    texts = [text for clip in clips if (text := _beside(folder / clip.path))]
    if texts:
        return CaptionsFound(kind="textfile", count=len(texts), example=texts[0])
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in _TABLES and path.is_file())
    found = [table for path in tables if (table := _read_table(path, clips)) is not None]
    if len(found) == 1:  # of several nobody knows which one is meant
        return found[0]
    named = [" ".join(_words(clip.path)) for clip in clips if len(_words(clip.path)) >= _WORDS]
    if len(set(named)) == len(clips):
        return CaptionsFound(kind="filename", count=len(clips), example=named[0])
    return CaptionsFound(kind="none")


def _beside(clip: Path) -> str:
    """Return the caption in the .txt file beside a clip, on one line; empty if there is none."""
    try:
        return " ".join(clip.with_suffix(".txt").read_text(encoding="utf-8-sig").split())
    except (OSError, UnicodeDecodeError):
        return ""


def _words(path: str) -> list[str]:
    """Return the words of a file name. One with a digit is a number of something, and no caption."""
    stem = os.path.splitext(os.path.basename(path))[0]
    words = stem.replace("_", " ").replace("-", " ").split()
    return words if all(word.strip(".,;!'").isalpha() for word in words) else []


def _read_table(path: Path, clips: Sequence[ClipRow]) -> CaptionsFound | None:
    """Return where captions are in a table; None if it is none of captions of these clips."""
    try:
        rows = _rows(path)
    except (OSError, ValueError, csv.Error):
        return None
    first = rows[0] if rows else {}
    name = next((column for column in _NAMES if column in first), None)
    caption = next((column for column in _CAPTIONS if column in first), None)
    if name is None or caption is None:
        return None
    known = {str(row.get(name)): " ".join(str(row.get(caption) or "").split()) for row in rows}
    for endings in (True, False):
        texts = [text for clip in clips if (text := known.get(_name_of(clip, known, endings=endings), ""))]
        if texts:
            columns = (name, caption)
            return CaptionsFound(
                kind="parquet", count=len(texts), table=path, columns=columns, endings=endings, example=texts[0]
            )
    return None


def _name_of(clip: ClipRow, known: Mapping[str, str], *, endings: bool) -> str:
    path = clip.path if endings else os.path.splitext(clip.path)[0]
    return path if path in known else os.path.basename(path)


def _rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix.lower() == ".parquet":
        from pyarrow import parquet  # noqa: PLC0415 - few folders hold such a table

        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
        return rows
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            return [row for line in file if line.strip() and isinstance(row := json.loads(line), dict)]
        return list(csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ","))


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
