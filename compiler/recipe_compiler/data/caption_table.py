"""Tables of captions: Parquet, CSV or JSON lines. Clips are looked up by their names, never by position."""

import csv
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from recipe_compiler.data.captions import CaptionError, one_line
from recipe_compiler.data.facts import TableProblem
from recipe_compiler.suggest import clear, near


class TableError(Exception):
    """A table that can't be used.

    Attributes:
        problems: Why, each with the key that it is about.
    """

    def __init__(self, *problems: TableProblem) -> None:
        """Take the problems."""
        super().__init__(problems[0].message)
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things are in a table.

    Attributes:
        file: The table.
        name: The column of file names.
        caption: The column of captions.
        fallback: The column that is used where the caption is empty; None for none.
        endings: File names have their endings.
        keys: The setting that states each, by the names of the fields above.
        what: What the column of captions holds, in words.
    """

    file: Path
    name: str
    caption: str
    fallback: str | None
    endings: bool
    keys: Mapping[str, str]
    what: str = "caption"

    def columns(self) -> tuple[tuple[str, str], ...]:
        """Return each column that is needed, with the setting that names it."""
        columns = {"name": self.name, "caption": self.caption, "fallback": self.fallback}
        return tuple((column, self.keys[name]) for name, column in columns.items() if column is not None)

    def problem(self, message: str, help_: str) -> TableProblem:
        """Return a problem of the table as a whole."""
        return TableProblem(at=self.keys["file"], message=message, help=help_)


class CaptionTable:
    """A table of captions, for the clips of one data set.

    A row is for a clip if it names the clip's path below the data folder, its absolute path, its path from the table's
    folder, or its bare file name.
    """

    def __init__(self, layout: Layout, folder: Path, clips: Sequence[Path]) -> None:
        """Read a table.

        Args:
            layout: Where things are.
            folder: The data set's folder.
            clips: All clips in it.

        Raises:
            TableError: It can't be read, or lacks a column.
        """
        self.file = layout.file
        self._layout = layout
        self._folder = folder
        records, self.sha256 = read_table(layout)
        self._rows: dict[str, dict[str, list[int]]] = {}
        for number, record in enumerate(records, 1):
            caption = one_line(record[layout.caption])
            if not caption and layout.fallback is not None:
                caption = one_line(record[layout.fallback])
            for key in self._keys(record[layout.name].strip()):
                self._rows.setdefault(key, {}).setdefault(caption, []).append(number)
        self._paths = Counter(self._names(clip)[0] for clip in clips)
        self._files = Counter(self._names(clip)[1] for clip in clips)

    def caption_of(self, clip: Path) -> str:
        """Return the caption of a clip.

        Raises:
            CaptionError: No row is for it, or it can't be said which.
        """
        table = f"`{self._layout.file.name}`"
        path, name = self._names(clip)
        if path not in self._rows and name not in self._rows:
            raise CaptionError(f"no row of {table} is for it{self._hint(clip)}")
        key, count = (path, self._paths[path]) if path in self._rows else (name, self._files[name])
        if count > 1:
            raise CaptionError(f"`{key}` in {table} may be any of {count} clips; write paths below the data folder")
        captions = self._rows[key]
        if len(captions) > 1:
            first, second = (numbers[0] for numbers in list(captions.values())[:2])
            raise CaptionError(f"rows {first} and {second} of {table} give it different {self._layout.what}s")
        ((caption, numbers),) = captions.items()
        if not caption:
            raise CaptionError(f"its {self._layout.what} is empty in row {numbers[0]} of {table}")
        return caption

    def _keys(self, entry: str) -> set[str]:
        """Return all ways to read an entry: from the data folder, and from the table's folder."""
        if not entry:
            return set()
        place = Path(os.path.normpath(self._layout.file.parent / entry))
        keys = {PurePosixPath(entry).as_posix()}
        if place.is_relative_to(self._folder):
            keys.add(place.relative_to(self._folder).as_posix())
        return keys

    def _names(self, clip: Path) -> tuple[str, str]:
        """Return the path and the file name by which a row may call a clip."""
        path = clip.relative_to(self._folder)
        path = path if self._layout.endings else path.with_suffix("")
        return path.as_posix(), path.name

    def _hint(self, clip: Path) -> str:
        path = clip.relative_to(self._folder)
        other = path.with_suffix("") if self._layout.endings else path
        if other.as_posix() not in self._rows and other.name not in self._rows:
            return ""
        return f", only one for `{other.name}`"


def read_table(layout: Layout) -> tuple[Iterator[Mapping[str, str]], str]:
    """Read a table: the needed columns of each row, as texts, and the SHA-256 of the file.

    Raises:
        TableError: It can't be read, or lacks a column; also while rows are taken.
    """
    data = _read(layout)
    return _records(data, layout), hashlib.sha256(data).hexdigest()


def _read(layout: Layout) -> bytes:
    if layout.file.suffix.lower() not in _READERS:
        endings = ", ".join(_READERS)
        message = f"the table `{layout.file.name}` can't be read: its ending is none of {endings}"
        raise TableError(layout.problem(message, "write captions as CSV, JSON lines or Parquet"))
    try:
        return layout.file.read_bytes()
    except OSError as error:
        message = f"the table `{layout.file}` can't be read: {error.strerror}"
        raise TableError(layout.problem(message, "check the path; a relative one starts at the recipe")) from None


def _records(data: bytes, layout: Layout) -> Iterator[Mapping[str, str]]:
    """Yield the needed columns of each row, as texts."""
    wanted = [column for column, _ in layout.columns()]
    try:
        columns, rows = _READERS[layout.file.suffix.lower()](data, wanted)
    except ValueError as error:
        message = f"the table `{layout.file.name}` is not what its ending says: {error}"
        raise TableError(layout.problem(message, "correct it, or write it anew")) from None
    absent = [_no_column(layout, column, key, columns) for column, key in layout.columns() if column not in columns]
    if absent:
        raise TableError(*absent)
    for number, row in enumerate(rows, 1):
        yield {column: _text(row.get(column), layout, f"row {number} of column `{column}`") for column in wanted}


def _no_column(layout: Layout, column: str, key: str, columns: Sequence[str]) -> TableProblem:
    there = ", ".join(f"`{name}`" for name in columns[:_SHOWN]) + (", …" if len(columns) > _SHOWN else "")
    meant = near(column, columns)
    return TableProblem(
        at=key,
        message=f"`{layout.file.name}` has no column `{column}`",
        help=(f"did you mean `{meant}`? " if meant else "") + (f"its columns are {there}" if there else "it is empty"),
        fix=meant if meant is not None and clear(column, meant, columns) else None,
    )


_SHOWN = 12


def _text(value: Any, layout: Layout, place: str) -> str:
    if value is None or value != value:  # noqa: PLR0124 - what is not a number stands for nothing
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    message = f"{place} in `{layout.file.name}` holds a {type(value).__name__}, and no text"
    raise TableError(layout.problem(message, "name a column of texts"))


_Read = Callable[[bytes, Sequence[str]], tuple[Sequence[str], Sequence[Mapping[str, Any]]]]
"""Takes a file and the columns that are needed; returns the columns that it has, and its rows."""


def _from_csv(separator: str) -> _Read:
    def read(data: bytes, wanted: Sequence[str]) -> tuple[Sequence[str], Sequence[Mapping[str, Any]]]:
        del wanted
        lines = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=separator, strict=True)
        try:
            rows = list(lines)
        except csv.Error as error:
            raise ValueError(f"{error} after line {lines.line_num}") from None
        for number, row in enumerate(rows, 1):
            if None in row:
                raise ValueError(
                    f"row {number} has more fields than the header; put texts with a `{separator}` in quotes"
                )
        return lines.fieldnames or (), rows

    return read


def _from_json_lines(data: bytes, wanted: Sequence[str]) -> tuple[Sequence[str], Sequence[Mapping[str, Any]]]:
    del wanted
    rows: list[Mapping[str, Any]] = []
    for number, line in enumerate(data.decode("utf-8-sig").split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no JSON object")
            rows.append(row)
    return tuple(dict.fromkeys(name for row in rows for name in row)), rows


def _from_parquet(data: bytes, wanted: Sequence[str]) -> tuple[Sequence[str], Sequence[Mapping[str, Any]]]:
    import pyarrow as pa  # noqa: PLC0415 - most data sets have no Parquet
    from pyarrow import parquet  # noqa: PLC0415

    try:
        file = parquet.ParquetFile(pa.BufferReader(data))
        names = file.schema_arrow.names
        return names, file.read([name for name in wanted if name in names]).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from None


_READERS: Mapping[str, _Read] = {
    ".parquet": _from_parquet,
    ".csv": _from_csv(","),
    ".tsv": _from_csv("\t"),
    ".jsonl": _from_json_lines,
    ".ndjson": _from_json_lines,
}
