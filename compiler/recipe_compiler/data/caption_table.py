"""Tables of captions: clips are looked up by their names, never by position."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from recipe_compiler.data.captions import CaptionError
from recipe_compiler.data.table import Layout, TableRow, read_table, refuse_unweighted_rows


class CaptionTable:
    """A table of captions, for the clips of one data set.

    A row is for a clip if it names the clip's path below the data folder, its absolute path, its path from the table's
    folder, or its bare file name. Rows with the path come before those with the bare name, which are not taken then.
    """

    def __init__(
        self,
        layout: Layout,
        folder: Path,
        clips: Sequence[Path],
        read: Callable[[Layout], tuple[Iterable[TableRow], str]] = read_table,
    ) -> None:
        """Read a table.

        Args:
            layout: Where things are.
            folder: The data set's folder.
            clips: All clips in it.
            read: Returns the rows, and the SHA-256 of what they stand in.

        Raises:
            TableError: It can't be read, lacks a column, or holds what is no text, name or weight.
        """
        self.file = layout.file
        self.layout = layout
        self._folder = folder
        records, self.sha256 = read(layout)
        self._rows: dict[str, list[TableRow]] = {}
        for row in records:
            for key in self._keys(row.name):
                self._rows.setdefault(key, []).append(row)
        refuse_unweighted_rows(layout, self._rows)
        self._paths = Counter(self._names(clip)[0] for clip in clips)
        self._files = Counter(self._names(clip)[1] for clip in clips)

    def rows_of(self, clip: Path) -> tuple[TableRow, ...]:
        """Return the rows of a clip that have a caption, in the order of the table.

        Raises:
            CaptionError: No row is for it, all captions are empty, it can't be said which clip is meant, or rows differ
                of which only one may be.
        """
        rows = self._named(clip)
        others = [] if self.layout.splits else [row for row in rows if row.texts != rows[0].texts]
        if others:
            where = self.layout.places([rows[0].place, others[0].place])
            split = "; `multiline: split` takes all" if self.layout.what == "caption" else ""
            raise CaptionError(f"{where} give it different {self.layout.what}s{split}")
        captioned = tuple(row for row in rows if row.texts)
        if not captioned:
            raise CaptionError(f"its {self.layout.what} is empty in {self.layout.places([rows[0].place])}")
        return captioned

    def _named(self, clip: Path) -> list[TableRow]:
        """Return the rows that name a clip."""
        table = f"`{self.layout.file.name}`"
        path, name = self._names(clip)
        if path not in self._rows and name not in self._rows:
            raise CaptionError(f"no row of {table} is for it{self._hint(clip)}")
        key, count = (path, self._paths[path]) if path in self._rows else (name, self._files[name])
        if count > 1:
            raise CaptionError(f"`{key}` in {table} may be any of {count} clips; write paths below the data folder")
        return self._rows[key]

    def _keys(self, entry: str) -> set[str]:
        """Return all ways to read an entry: from the data folder, and from the table's folder."""
        if not entry:
            return set()
        place = Path(os.path.normpath(self.layout.file.parent / entry))
        keys = {PurePosixPath(entry).as_posix()}
        if place.is_relative_to(self._folder):
            keys.add(place.relative_to(self._folder).as_posix())
        return keys

    def _names(self, clip: Path) -> tuple[str, str]:
        """Return the path and the file name by which a row may call a clip."""
        path = clip.relative_to(self._folder)
        path = path if self.layout.endings else path.with_suffix("")
        return path.as_posix(), path.name

    def _hint(self, clip: Path) -> str:
        path = clip.relative_to(self._folder)
        other = path.with_suffix("") if self.layout.endings else path
        if other.as_posix() not in self._rows and other.name not in self._rows:
            return ""
        return f", only one for `{other.name}`"
