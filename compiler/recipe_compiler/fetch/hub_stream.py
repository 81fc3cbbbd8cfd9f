"""Reads Parquet files of the hub over the network, a row group at a time. None of them is kept on disk."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import HfFileSystem

from recipe_compiler.data.probe import probe
from recipe_compiler.fetch.errors import FetchError
from recipe_compiler.fetch.folder import complete_folder
from recipe_compiler.fetch.hub import hub_errors
from recipe_compiler.fetch.hub_rows import ROWS_AT_ONCE, RowWriter, Wish
from recipe_schema.files import write_atomically


_NOTES = ".streamed.json"
_Result = TypeVar("_Result")


def stream_tables(
    wish: Wish, commit: str, tables: Sequence[str], folder: Path, source: str, report: Callable[[str], None]
) -> None:
    """Write the clips of Parquet files, and their captions, until all rows or as many as are wanted are there.

    They go to a hidden folder beside ``folder``, which notes the row groups that are done: an interrupted fetch goes on
    with the next one, unless the data set has changed since.

    Args:
        wish: What is wanted.
        commit: Of the data set.
        tables: Paths of the files in it.
        folder: Appears when it is complete; unused, see `is_unused`.
        source: How its marker calls it.
        report: Told what happens, a line at a time.

    Raises:
        FetchError: It can't be had; what is there already is kept.
    """
    here = folder.parent / f".{folder.name}.{wish.name.replace('/', '.')}.streamed"
    kind = {"source": source, "revision": commit, "files": list(tables)}
    notes = _read_notes(here / _NOTES)
    if notes is None or {name: notes.get(name) for name in kind} != kind:
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir(parents=True)
        notes = {**kind, "tables": 0, "groups": 0, "rows": 0, "readable": 0, "names": []}
    for broken_off in here.glob(".*"):
        if broken_off.name != _NOTES:
            broken_off.unlink()
    report(f"streaming {len(tables)} Parquet files of {wish.name} at {commit}")
    stream = _Stream(wish, commit, here, notes)
    stream.run(tables, report)
    (here / _NOTES).unlink(missing_ok=True)
    complete_folder(here, folder, source, {"revision": commit})
    report(f"wrote {stream.count} clips")


class _Stream:
    def __init__(self, wish: Wish, commit: str, folder: Path, notes: dict[str, Any]) -> None:
        self._wish = wish
        self._folder = folder
        self._notes = notes
        self._root = f"datasets/{wish.name}@{commit}"
        with hub_errors(wish.name):
            self._hub = HfFileSystem(skip_instance_cache=True)
        self._rows = RowWriter(wish, self._copy, count=notes["rows"], names=notes["names"])

    @property
    def count(self) -> int:
        return self._rows.count

    def run(self, tables: Sequence[str], report: Callable[[str], None]) -> None:
        """Write what is missing."""
        if self._is_enough():  # it broke off when all was there, and only the name was missing
            return
        for path in tables[self._notes["tables"] :]:
            with self._open(path) as file:
                table = self._read(path, partial(_parquet_file, file))
                columns = self._wish.columns(table.schema_arrow.names)
                for group in range(self._notes["groups"], table.num_row_groups):
                    self._group(self._rows_of(path, table, group, columns))
                    report(f"{path}: {group + 1} of {table.num_row_groups} row groups, {self.count} clips so far")
                    if self._is_enough():
                        return
            self._note(tables=self._notes["tables"] + 1, groups=0)

    def _is_enough(self) -> bool:
        return self._wish.at_most is not None and self._notes["readable"] >= self._wish.at_most

    def _group(self, rows: Iterator[Mapping[str, Any]]) -> None:
        """Write the rows of a group, and note that it is done."""
        notes = self._notes
        for row in rows:
            clip = self._rows.write(row, self._folder)
            notes["names"].append(clip.stem)
            if self._wish.at_most is not None:
                notes["readable"] += not probe(clip).problem
            if self._is_enough():
                break
        self._note(groups=notes["groups"] + 1, rows=self.count)

    def _note(self, **facts: int) -> None:
        self._notes.update(facts)
        write_atomically(self._folder / _NOTES, json.dumps(self._notes).encode())

    def _rows_of(self, path: str, table: Any, group: int, columns: list[str]) -> Iterator[Mapping[str, Any]]:
        batches = table.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=columns)
        while (batch := self._read(path, partial(next, batches, None))) is not None:
            yield from batch.to_pylist()

    def _open(self, path: str) -> Any:
        with hub_errors(self._wish.name):
            return self._hub.open(f"{self._root}/{path}", "rb")

    def _read(self, path: str, read: Callable[[], _Result]) -> _Result:
        """Read from a Parquet file, and tell a broken one from a network that fails."""
        import pyarrow as pa  # noqa: PLC0415 - a lint does not load it

        with hub_errors(self._wish.name):
            try:
                return read()
            except pa.ArrowException as error:
                broken = error
        raise FetchError(
            f"`{path}` of {self._wish.name} can't be read ({broken}); tell the author of the data set"
        ) from broken

    def _copy(self, path: str, target: Path) -> None:
        part = target.with_name(f".{target.name}.part")
        with hub_errors(self._wish.name):
            self._hub.get_file(f"{self._root}/{path}", str(part))
        part.replace(target)


def _parquet_file(file: Any) -> Any:
    from pyarrow import parquet  # noqa: PLC0415 - a lint does not load it

    return parquet.ParquetFile(file)


def _read_notes(file: Path) -> dict[str, Any] | None:
    try:
        notes = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return notes if isinstance(notes, dict) else None
