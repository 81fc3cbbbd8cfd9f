"""Reads tables: Parquet, CSV or JSON lines, each row with its name, its captions and perhaps its weight."""

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipe_compiler.data.captions import lines_of, one_line
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
        captions: The columns of captions.
        fallback: The column that is used where all captions are empty; None for none.
        weight: The column of weights; None for none.
        endings: File names have their endings.
        splits: The lines of a field are captions of their own.
        numbered: ``caption_weights`` has a number for each column, or for each text of a single one.
        keys: The setting that states each, by the names of the fields above.
        what: What the columns of captions hold, in words.
    """

    file: Path
    name: str
    captions: tuple[str, ...]
    fallback: str | None = None
    weight: str | None = None
    endings: bool = True
    splits: bool = False
    numbered: bool = False
    keys: Mapping[str, str]
    what: str = "caption"

    def columns(self) -> tuple[tuple[str, str], ...]:
        """Return each column that is needed, with the setting that names it."""
        captions = ((column, self.keys["captions"]) for column in self.captions)
        others = {"fallback": self.fallback, "weight": self.weight}
        given = ((column, self.keys[name]) for name, column in others.items() if column is not None)
        return ((self.name, self.keys["name"]), *captions, *given)

    def places(self, numbers: Sequence[int]) -> str:
        """Say where rows stand: the lines of a text file, and the rows of Parquet."""
        word = "row" if self.file.suffix.lower() == ".parquet" else "line"
        listed = " and ".join(map(str, numbers))
        return f"{word}{'s' if len(numbers) > 1 else ''} {listed} of `{self.file.name}`"

    def problem(self, message: str, help_: str, of: str = "file") -> TableProblem:
        """Return a problem: of the table as a whole, or of what another key names."""
        return TableProblem(at=self.keys[of], message=message, help=help_)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """What a row says of a clip.

    Attributes:
        place: Its number, as `Layout.places` takes it.
        name: How it calls the clip.
        captions: The texts of each column; of a single column, each of its texts by itself. Empty ones are empty.
        weight: How often the row is drawn, or each of ``captions``; None where no column says it.
    """

    place: int
    name: str
    captions: tuple[tuple[str, ...], ...]
    weight: float | tuple[float, ...] | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """All captions of the row, in their order."""
        return tuple(text for texts in self.captions for text in texts)


def read_table(layout: Layout) -> tuple[Iterator[TableRow], str]:
    """Read a table: the needed columns of each row, and the SHA-256 of the file.

    Raises:
        TableError: It can't be read, or lacks a column; also while rows are taken.
    """
    data = _read(layout)
    return _records(data, layout), hashlib.sha256(data).hexdigest()


def refuse_unweighted_rows(layout: Layout, rows: Mapping[str, Sequence[TableRow]]) -> None:
    """Refuse several rows of a clip where each has one caption, and numbers would have to stand for rows.

    Args:
        layout: Of their table.
        rows: By the names of clips.

    Raises:
        TableError: There is such a clip.
    """
    if not layout.numbered or layout.weight is not None or len(layout.captions) != 1:
        return
    for name, several in rows.items():
        texts = {row.texts: row.place for row in several if row.texts}
        if len(texts) > 1 and all(len(text) == 1 for text in texts):
            where = layout.places(list(texts.values())[:2])
            message = f"{where} are captions of `{name}`, and `caption_weights` can't say how often a row is drawn"
            column = layout.keys.get("weight", "").removeprefix(layout.keys["numbers"].removesuffix("caption_weights"))
            help_ = f"write a column of weights and name it in `{column}`, or t" if column else "t"
            help_ += "ake out `caption_weights`"
            raise TableError(layout.problem(message, help_, of="numbers"))


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


def _records(data: bytes, layout: Layout) -> Iterator[TableRow]:
    """Yield the rows, as far as they are needed."""
    needed = dict(layout.columns())
    try:
        columns, rows = _READERS[layout.file.suffix.lower()](data, tuple(needed))
    except ValueError as error:
        message = f"the table `{layout.file.name}` is not what its ending says: {error}"
        raise TableError(layout.problem(message, "correct it, or write it anew")) from None
    wrong = [_unclear_column(layout, column, key, columns) for column, key in needed.items()]
    if any(wrong):
        raise TableError(*(problem for problem in wrong if problem is not None))
    for number, row in rows:
        yield _row(layout, number, row)


def _unclear_column(layout: Layout, column: str, key: str, columns: Sequence[str]) -> TableProblem | None:
    """Say that a column is not there, or there twice; None if it is in order."""
    if columns.count(column) == 1:
        return None
    if column in columns:
        message = f"`{layout.file.name}` has {columns.count(column)} columns `{column}`"
        return TableProblem(at=key, message=message, help="give each column a name of its own")
    there = ", ".join(f"`{name}`" for name in columns[:_SHOWN]) + (", …" if len(columns) > _SHOWN else "")
    meant = near(column, columns)
    alone = key != layout.keys["captions"] or len(layout.captions) == 1  # or the setting holds others, too
    return TableProblem(
        at=key,
        message=f"`{layout.file.name}` has no column `{column}`",
        help=(f"did you mean `{meant}`? " if meant else "") + (f"its columns are {there}" if there else "it is empty"),
        fix=meant if meant is not None and alone and clear(column, meant, columns) else None,
    )


_SHOWN = 12


def _row(layout: Layout, number: int, row: Mapping[str, Any]) -> TableRow:
    def texts(column: str) -> tuple[str, ...]:
        return _texts(row.get(column), layout, f"column `{column}` in {layout.places([number])}")

    each = tuple(map(texts, layout.captions))
    captions = each if len(each) > 1 else tuple((text,) if text else () for column in each for text in column)
    if not any(text for group in captions for text in group) and layout.fallback is not None:
        captions = tuple((text,) for text in texts(layout.fallback))
    weight = None if layout.weight is None else _weight(row.get(layout.weight), layout, number)
    if isinstance(weight, tuple) and len(weight) != len(captions):
        message = f"{layout.places([number])} gives {len(weight)} weights, and has {len(captions)} captions"
        raise TableError(layout.problem(message, "give a weight for each, or a number for all of them", of="weight"))
    if isinstance(weight, tuple) and layout.numbered:
        message = f"{layout.places([number])} gives a weight to each caption, and `caption_weights` does so too"
        raise TableError(layout.problem(message, "leave one of them out", of="numbers"))
    name = _text(row.get(layout.name), layout, f"column `{layout.name}` in {layout.places([number])}").strip()
    captions = tuple(tuple(text for text in group if text) for group in captions)
    return TableRow(place=number, name=name, captions=captions, weight=weight)


def _texts(value: Any, layout: Layout, place: str) -> tuple[str, ...]:
    """Return the captions of a field: one, those of a list, or its lines where each is one. Those of a list may be empty."""
    if isinstance(value, list | tuple):
        return tuple(one_line(_text(each, layout, place)) for each in value)
    text = _text(value, layout, place)
    if layout.splits:
        return lines_of(text)
    return (one_line(text),) if text.strip() else ()


def _text(value: Any, layout: Layout, place: str) -> str:
    if value is None or value != value:  # noqa: PLR0124 - what is not a number stands for nothing
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    message = f"{place} holds a {type(value).__name__}, and no text"
    raise TableError(layout.problem(message, "name a column of texts"))


def _weight(value: Any, layout: Layout, number: int) -> float | tuple[float, ...]:
    """Return the weight of a row, or those of its captions."""
    if isinstance(value, list | tuple):
        return tuple(_number(each, layout, number) for each in value)
    return _number(value, layout, number)


def _number(value: Any, layout: Layout, number: int) -> float:
    try:
        weight = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        weight = math.nan
    if not 0 <= weight < math.inf:
        found = "no weight" if value is None or value in ("", []) else f"the weight `{value}`"
        message = f"{layout.places([number])} gives {found}, and a number of at least 0 was expected"
        raise TableError(layout.problem(message, "correct the table; 0 leaves a caption out", of="weight"))
    return weight


_Rows = Sequence[tuple[int, Mapping[str, Any]]]
"""Rows with their numbers: of lines in a text file, from 1, and of rows in Parquet."""

_Read = Callable[[bytes, Sequence[str]], tuple[Sequence[str], _Rows]]
"""Takes a file and the columns that are needed; returns the columns that it has, and its rows."""


def _from_csv(separator: str) -> _Read:
    def read(data: bytes, wanted: Sequence[str]) -> tuple[Sequence[str], _Rows]:
        del wanted
        records = list(_csv_records(io.StringIO(data.decode("utf-8-sig"), newline=""), separator))
        header = records[0][1] if records else []
        for line, record in records:
            if len(record) > len(header):
                raise ValueError(
                    f"line {line} has more fields than the header; put texts with a `{separator}` in quotes"
                )
        return header, [(line, dict(zip(header, record, strict=False))) for line, record in records[1:]]

    return read


def _csv_records(text: io.StringIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not empty, with the line where each begins."""
    reader, line = csv.reader(text, delimiter=separator, strict=True), 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {line}: {error}") from None


def _from_json_lines(data: bytes, wanted: Sequence[str]) -> tuple[Sequence[str], _Rows]:
    del wanted
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for number, line in enumerate(data.decode("utf-8-sig").split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no JSON object")
            rows.append((number, row))
    return tuple(dict.fromkeys(name for _, row in rows for name in row)), rows


def _from_parquet(data: bytes, wanted: Sequence[str]) -> tuple[Sequence[str], _Rows]:
    import pyarrow as pa  # noqa: PLC0415 - most data sets have no Parquet
    from pyarrow import parquet  # noqa: PLC0415

    try:
        file = parquet.ParquetFile(pa.BufferReader(data))
        names = file.schema_arrow.names
        return names, list(enumerate(file.read([name for name in wanted if name in names]).to_pylist(), 1))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from None


_READERS: Mapping[str, _Read] = {
    ".parquet": _from_parquet,
    ".csv": _from_csv(","),
    ".tsv": _from_csv("\t"),
    ".jsonl": _from_json_lines,
    ".ndjson": _from_json_lines,
}
