"""Tables of clips, for ``type: csv``: each row names a file or an address, and perhaps its caption."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from recipe_compiler.data.captions import COLUMNS, WEIGHTS, CaptionError, caption_file, caption_source, weight_column
from recipe_compiler.data.probe import suffixes
from recipe_compiler.data.table import Layout, TableError, TableRow, read_table, refuse_unweighted_rows
from recipe_compiler.settings import Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One clip.

    Attributes:
        source: An absolute path, or an address.
        name: The file name that it gets in the data folder.
        rows: The rows that name it, no two with the same captions and weight. Without captions where they come from
            elsewhere.
        captioned: Captions come from the table.
    """

    source: str
    name: str
    rows: tuple[TableRow, ...]
    captioned: bool

    @property
    def lines(self) -> tuple[str, ...]:
        """All captions, in the order of the table."""
        return tuple(text for row in self.rows for text in row.texts)

    @property
    def is_address(self) -> bool:
        """The clip has to be downloaded."""
        return is_address(self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All clips of a table.

    Attributes:
        layout: Where things are in the table.
        sha256: Of the table's bytes, hexadecimal.
        entries: In order of the rows, each clip once.
        state: A digest of what decides them.
    """

    layout: Layout
    sha256: str
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
    column, weight = f"{table}.csv_url_column", weight_column(settings, table)
    layout = Layout(
        file=Path(os.path.normpath(root / settings[f"{table}.csv_file"])),
        name=settings[column],
        captions=tuple(settings[f"{table}.{COLUMNS['csv']}"]) if captioned else (),
        weight=weight[1] if captioned and weight is not None else None,
        splits=True,
        numbered=settings[f"{table}.multiline"] == "split" and settings[f"{table}.caption_weights"] is not None,
        keys={
            "file": f"{table}.csv_file",
            "name": column,
            "captions": f"{table}.{COLUMNS['csv']}",
            "weight": f"{table}.{WEIGHTS['csv']}",
            "numbers": f"{table}.caption_weights",
        },
    )
    records, sha256 = read_table(layout)
    images = settings[f"{table}.dataset_type"] == "image"
    rows: dict[str, list[TableRow]] = {}
    for row in records:
        source = _source(layout, row, images=images)
        others = rows.setdefault(source, [])
        if others and others[0].texts != row.texts and settings[f"{table}.multiline"] != "split":
            where = layout.places([others[0].place, row.place])
            raise TableError(
                layout.problem(
                    f"{where} give `{source}` different captions", "keep one of them, or write `multiline: split`"
                )
            )
        if layout.weight is not None or all(other.texts != row.texts for other in others):
            others.append(row)
    refuse_unweighted_rows(layout, rows)
    names = _names(rows, images=images)
    entries = tuple(
        Entry(source=source, name=names[source], rows=tuple(several), captioned=captioned)
        for source, several in rows.items()
    )
    if not entries:
        raise TableError(layout.problem(f"the table `{layout.file.name}` has no rows", "give a row for each clip"))
    captions = layout.captions or (layout.name,)
    what = [sha256, layout.name, captions[0] if len(captions) == 1 else captions]
    state = hashlib.sha256(json.dumps(what).encode()).hexdigest()
    return Manifest(layout=layout, sha256=sha256, entries=entries, state=state)


class ManifestCaptions:
    """The captions of a table of clips with their weights, for the clips that were fetched by it."""

    def __init__(self, manifest: Manifest) -> None:
        """Take a table that was read."""
        self.layout, self.file, self.sha256 = manifest.layout, manifest.layout.file, manifest.sha256
        self._entries = {entry.name: entry for entry in manifest.entries}

    def rows_of(self, clip: Path) -> tuple[TableRow, ...]:
        """Return the rows of a clip that have a caption, in the order of the table.

        Raises:
            CaptionError: There is none, or the file beside the clip says something else.
        """
        table, file = f"`{self.layout.file.name}`", f"`{clip.with_suffix('.txt').name}`"
        entry = self._entries.get(clip.name)
        if entry is None:
            raise CaptionError(f"no row of {table} is for it")
        if not entry.lines:
            raise CaptionError(f"its caption is empty in {self.layout.places([entry.rows[0].place])}")
        if set(caption_file(clip)) != set(entry.lines):  # rows that say the same were perhaps written once
            raise CaptionError(
                f"{file} is not what {table} says, which has its weights: correct the table, and fetch again"
            )
        return tuple(row for row in entry.rows if row.texts)


def weighted_captions(settings: Resolved, table: str, root: Path) -> ManifestCaptions | None:
    """Return the captions of a data set that was fetched by a table, where the table or the columns have weights.

    Without weights, the files beside the clips say all.

    Raises:
        TableError: The table can't be read any more.
    """
    if settings[f"{table}.type"] != "csv" or settings[f"{table}.multiline"] != "split":
        return None
    if weight_column(settings, table) is None and settings[f"{table}.caption_weights"] is None:
        return None
    return ManifestCaptions(read_manifest(settings, table, root))


def _source(layout: Layout, row: TableRow, *, images: bool) -> str:
    """Return the absolute path or the address that a row names."""
    text = row.name
    if is_address(text):
        return text
    place = layout.places([row.place])
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


def _names(sources: Iterable[str], *, images: bool) -> Mapping[str, str]:
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
