"""Captions of a downloaded folder that stand in lists and tables: they are written beside the clips."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recipe_compiler.data.captions import one_line
from recipe_compiler.data.prompt_lists import CLIPS, ListError, find_lists, join_lists
from recipe_compiler.data.table import Layout, TableError, read_table
from recipe_compiler.fetch.errors import FetchError
from recipe_schema.files import write_atomically


_NAME_COLUMN = "file_name"
_TABLES = ("metadata.parquet", "metadata.csv", "metadata.jsonl")


def join_lines(folder: Path) -> int | None:
    """Write the captions of ``prompt.txt`` beside the clips that ``videos.txt`` names, if there are such lists.

    Returns:
        The number of clips; None without lists.

    Raises:
        FetchError: The lists don't go together, or a clip has another caption already.
    """
    try:
        captions = find_lists(folder)
        pairs = None if captions is None else join_lists(captions)
    except ListError as error:
        raise FetchError(f"{error}; tell the author of the data set") from None
    if pairs is None:
        return None
    for name, caption in pairs:
        write_caption(_inside(folder, name, CLIPS), caption)
    return len(pairs)


def join_tables(folder: Path, columns: Sequence[str], fallback: str | None) -> int | None:
    """Write captions of a ``metadata`` table beside the clips that its column ``file_name`` names.

    Args:
        folder: All of it.
        columns: The columns of captions; each makes a line.
        fallback: The column for rows where they are empty.

    Returns:
        The number of tables; None without one.

    Raises:
        FetchError: A table lacks a column or names what is not there, or a clip has another caption already.
    """
    tables = [path for name in _TABLES for path in sorted(folder.rglob(name)) if ".cache" not in path.parts]
    for table in tables:
        captions: dict[Path, dict[str, None]] = {}
        for name, texts in _captions(table, columns, fallback):
            captions.setdefault(_inside(table.parent, name, table.name), {}).update(dict.fromkeys(texts))
        for clip, lines in captions.items():
            write_caption(clip, "\n".join(lines))
    return len(tables) or None


def caption_of(row: Mapping[Any, Any], columns: Sequence[str], fallback: str | None) -> str:
    """Return the caption of a row: a line for each text that its columns hold."""
    texts = [text for column in columns for text in texts_of(row.get(column))]
    if not texts and fallback is not None:
        texts = texts_of(row.get(fallback))
    return "\n".join(texts)


def write_caption(clip: Path, caption: str) -> None:
    """Write a caption beside a clip; one that is there is never overwritten, and an empty one is none.

    Raises:
        FetchError: There is another one.
    """
    text = clip.with_suffix(".txt")
    if not caption:
        return
    if not text.exists():
        write_atomically(text, f"{caption}\n".encode())
    elif text.read_text(encoding="utf-8").strip() != caption.strip():
        raise FetchError(f"`{text.name}` beside `{clip.name}` has another caption than the list; take one of them out")


def _inside(folder: Path, name: str, table: str) -> Path:
    path = folder / name
    if not name or ".." in path.parts or not path.is_file() or not path.is_relative_to(folder):
        raise FetchError(f"`{table}` names `{name}`, and there is no such clip; tell the author of the data set")
    return path


def _captions(table: Path, columns: Sequence[str], fallback: str | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the clip and the captions of each row."""
    layout = Layout(
        file=table,
        name=_NAME_COLUMN,
        captions=tuple(columns),
        fallback=fallback,
        keys={"file": "file", "name": "name", "captions": "captions", "fallback": "fallback"},
    )
    try:
        rows, _ = read_table(layout)
        yield from ((row.name, row.texts) for row in rows)
    except TableError as error:
        problem = error.problems[0]
        raise FetchError(f"{problem.message}; {problem.help}") from error


def texts_of(value: Any) -> list[str]:
    """Return the captions of a field: its text on one line, or those of a list."""
    each = value if isinstance(value, list | tuple) else [value]
    return [line for text in each if isinstance(text, str) and (line := one_line(text))]
