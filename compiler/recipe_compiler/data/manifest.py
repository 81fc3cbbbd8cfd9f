"""Tables of clips, for ``type: csv``: each row names a file or an address, and perhaps its caption."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from recipe_compiler.data.caption_table import Layout, TableError, read_table
from recipe_compiler.data.captions import caption_source
from recipe_compiler.data.probe import suffixes
from recipe_compiler.settings import Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One clip.

    Attributes:
        source: An absolute path, or an address.
        name: The file name that it gets in the data folder.
        caption: Its caption; None where captions come from elsewhere.
    """

    source: str
    name: str
    caption: str | None

    @property
    def is_address(self) -> bool:
        """The clip has to be downloaded."""
        return is_address(self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All clips of a table.

    Attributes:
        file: The table.
        entries: In order of the rows, each clip once.
        state: A digest of what decides them.
    """

    file: Path
    entries: tuple[Entry, ...]
    state: str


def is_address(text: str) -> bool:
    """Say whether a clip is named by an address that can be downloaded."""
    return text.startswith(("http://", "https://"))


def read_manifest(settings: Resolved, table: str, root: Path) -> Manifest:
    """Read the table of a data set of ``type: csv``.

    Raises:
        TableError: It can't be read, lacks a column, or has a row that names no clip.
    """
    captioned = caption_source(settings, table) == "fetched"
    column, caption = (f"{table}.csv_url_column", f"{table}.csv_caption_column")
    layout = Layout(
        file=Path(os.path.normpath(root / settings[f"{table}.csv_file"])),
        name=settings[column],
        caption=settings[caption if captioned else column],
        fallback=None,
        endings=True,
        keys={"file": f"{table}.csv_file", "name": column, "caption": caption, "fallback": caption},
    )
    records, sha256 = read_table(layout)
    images = settings[f"{table}.dataset_type"] == "image"
    captions: dict[str, str] = {}
    for number, record in enumerate(records, 1):
        source = _source(layout, record[layout.name].strip(), number, images=images)
        text = record[layout.caption].strip()
        if captions.setdefault(source, text) != text:
            raise TableError(layout.problem(f"row {number} gives `{source}` another caption", "keep one of the rows"))
    names = _names(captions, images=images)
    entries = tuple(
        Entry(source=source, name=names[source], caption=text if captioned else None)
        for source, text in captions.items()
    )
    if not entries:
        raise TableError(layout.problem(f"the table `{layout.file.name}` has no rows", "give a row for each clip"))
    state = hashlib.sha256(json.dumps([sha256, layout.name, layout.caption]).encode()).hexdigest()
    return Manifest(file=layout.file, entries=entries, state=state)


def _source(layout: Layout, text: str, number: int, *, images: bool) -> str:
    """Return the absolute path or the address that a row names."""
    if is_address(text):
        return text
    place = f"row {number} of `{layout.file.name}`"
    if not text or "://" in text:
        raise TableError(
            layout.problem(
                f"{place} names `{text}`, and a path or an address (http, https) was expected",
                f"correct the column `{layout.name}`, or take out the row",
            )
        )
    if PurePosixPath(text).suffix.lower() not in _endings(images=images):
        kind = "picture" if images else "video"
        raise TableError(
            layout.problem(
                f"{place} names `{text}`, which is no {kind} by its ending", "take out the row, or rename it"
            )
        )
    return os.path.normpath(layout.file.parent / text)


def _endings(*, images: bool) -> frozenset[str]:
    return suffixes("image" if images else "video")


def _names(sources: Mapping[str, str], *, images: bool) -> Mapping[str, str]:
    """Give each clip a file name: its own where no other has it, without case or ending."""
    own = {source: _name(source, images=images) for source in sources}
    count = Counter(PurePosixPath(name).stem.casefold() for name in own.values())
    return {
        source: name if count[PurePosixPath(name).stem.casefold()] == 1 else _apart(name, source)
        for source, name in own.items()
    }


def _name(source: str, *, images: bool) -> str:
    name = PurePosixPath(unquote(urlsplit(source).path) if is_address(source) else source).name
    # Files are recognized by their content; the ending only says that it is a video, or a picture.
    if PurePosixPath(name).suffix.lower() not in _endings(images=images):
        name = f"{name or 'image'}.jpg" if images else f"{name or 'clip'}.mp4"
    return name.lstrip(".")


def _apart(name: str, source: str) -> str:
    path = PurePosixPath(name)
    return f"{path.stem}-{hashlib.sha256(source.encode()).hexdigest()[:8]}{path.suffix}"
