"""Writes rows of the hub's Parquet files as clips with captions beside them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from recipe_compiler.data.probe import VIDEO_SUFFIXES
from recipe_compiler.fetch.caption_lists import caption_of, write_caption
from recipe_compiler.fetch.errors import FetchError
from recipe_schema.files import write_atomically


ROWS_AT_ONCE = 4
"""Rows of clips that are taken apart at the same time."""

_PICTURES = ((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"RIFF", ".webp"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted of a data set.

    Attributes:
        name: ``OWNER/NAME``.
        split: Its split.
        revision: Branch, tag or commit; None for the newest.
        clips: The column of clips.
        endings: Endings of what it holds, each with its dot.
        captions: The columns of captions; empty where captions come from elsewhere.
        fallback: The column that is used where captions are empty.
        streams: Whether rows are read over the network, with no Parquet file on disk.
        at_most: So many readable clips are enough, if it streams; None for all.
    """

    name: str
    split: str
    revision: str | None
    clips: str
    endings: frozenset[str] = VIDEO_SUFFIXES
    captions: tuple[str, ...]
    fallback: str | None
    streams: bool = False
    at_most: int | None = None

    def columns(self, there: Sequence[str]) -> list[str]:
        """Return the columns that are read, of those of a table.

        Raises:
            FetchError: One is not there.
        """
        wanted = [self.clips, *self.captions, *([self.fallback] if self.fallback else [])]
        for column in wanted:
            if column not in there:
                raise FetchError(
                    f"the data set {self.name} has no column `{column}`; its columns are {', '.join(there)}"
                )
        return wanted


class RowWriter:
    """Writes rows, one after the other: names depend on the rows before.

    Args:
        wish: What is wanted.
        copy: Writes the file of the data set that a row names, by its path there, to a file on disk.
        count: Rows that were written before.
        names: Their names, without endings.
    """

    def __init__(
        self, wish: Wish, copy: Callable[[str, Path], None], *, count: int = 0, names: Sequence[str] = ()
    ) -> None:
        self.count = count
        self._wish = wish
        self._copy = copy
        self._names = {name.casefold() for name in names}

    def write(self, row: Mapping[str, Any], folder: Path) -> Path:
        """Write the clip of a row and its caption into a folder, and return the clip's path.

        Raises:
            FetchError: The row holds no clip.
        """
        self.count += 1
        content, path = self._clip(row[self._wish.clips])
        target = folder / self._name(path, content)
        if content is None:
            self._copy(path, target)
        else:
            write_atomically(target, content)
        write_caption(target, caption_of(row, self._wish.captions, self._wish.fallback))
        return target

    def _clip(self, value: Any) -> tuple[bytes | None, str]:
        """Return the bytes of a clip, or None and its path in the data set."""
        if isinstance(value, str):
            value = {"path": value}
        elif isinstance(value, bytes):
            value = {"bytes": value}
        content, path = (value.get("bytes"), value.get("path") or "") if isinstance(value, dict) else (None, "")
        if content is None and (not path or "://" in path):
            raise FetchError(
                f"row {self.count} of {self._wish.name} holds no clip in its column `{self._wish.clips}`"
                + (f" but the address `{path}`; take `type: csv` for a table of addresses" if path else "")
            )
        return content, path

    def _name(self, path: str, content: bytes | None) -> str:
        """Return a file name of its own for a row's clip, with the ending that its path has or its first bytes tell."""
        name = PurePosixPath(path.replace("\\", "/")).name
        suffix = PurePosixPath(name).suffix.lower()
        suffix = suffix if suffix in self._wish.endings else _suffix(content or b"", self._wish.endings)
        stem = (PurePosixPath(name).stem if name else f"{self.count:06d}").lstrip(".") or f"{self.count:06d}"
        if stem.casefold() in self._names:
            stem = f"{stem}-{self.count:06d}"
        self._names.add(stem.casefold())
        return stem + suffix


def _suffix(content: bytes, endings: frozenset[str]) -> str:
    """Return the ending of a file that has no name: that of a picture by its first bytes, or .mp4, as players look inside."""
    if endings == VIDEO_SUFFIXES:
        return ".mp4"
    return next((suffix for start, suffix in _PICTURES if content.startswith(start)), ".jpg")
