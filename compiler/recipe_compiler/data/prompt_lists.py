"""Two lists in a data folder: line N of ``videos.txt`` is the path of a clip, line N of ``prompt.txt`` its caption."""

import hashlib
from dataclasses import replace
from pathlib import Path

from recipe_compiler.data.captions import one_line
from recipe_compiler.data.table import Layout, TableError, TableRow


CLIPS = "videos.txt"
"""A list of paths, one in each line."""

PROMPTS = ("prompt.txt", "prompts.txt")
"""Names of the list of captions."""


class ListError(Exception):
    """Lists that don't go together. The message says why, in one sentence."""


def find_lists(folder: Path) -> Path | None:
    """Return the list of captions of a folder that has both lists; None for other folders.

    Raises:
        ListError: There are two lists of captions.
    """
    there = [folder / name for name in PROMPTS if (folder / name).is_file()]
    if not there or not (folder / CLIPS).is_file():
        return None
    if len(there) > 1:
        raise ListError(f"`{folder}` has both `{PROMPTS[0]}` and `{PROMPTS[1]}`, and one list of captions was expected")
    return there[0]


def join_lists(captions: Path) -> list[tuple[str, str]]:
    """Return the path and the caption of each line.

    Args:
        captions: The list of captions, beside ``videos.txt``.

    Raises:
        ListError: They don't have the same number of lines, or one can't be read.
    """
    names, texts = _lines(captions.parent / CLIPS), _lines(captions)
    if len(names) != len(texts):
        raise ListError(
            f"`{CLIPS}` has {len(names)} lines and `{captions.name}` has {len(texts)}: it can't be said which caption "
            "belongs to which clip"
        )
    return list(zip(names, texts, strict=True))


def list_layout(folder: Path, table: str, *, splits: bool, numbered: bool) -> Layout:
    """Say where the captions of a data set are that has lists.

    Args:
        folder: The data set's folder.
        table: The data set, as in ``data.datasets.0``.
        splits: The captions of several lines for one clip are captions of their own.
        numbered: ``caption_weights`` are given, which can't say how often a line is drawn.

    Raises:
        TableError: It has none, or too many.
    """
    layout = Layout(
        file=folder / CLIPS,
        name="path",
        captions=("caption",),
        splits=splits,
        numbered=numbered,
        keys={"file": f"{table}.caption_strategy", "numbers": f"{table}.caption_weights"},
    )
    try:
        captions = find_lists(folder)
    except ListError as error:
        raise TableError(layout.problem(str(error), "take one of them out")) from None
    if captions is None:
        message = f"`{folder}` has no `{CLIPS}` with `{PROMPTS[0]}` or `{PROMPTS[1]}`"
        raise TableError(layout.problem(message, "name the folder that holds both lists, or take another strategy"))
    return replace(layout, file=captions)


def read_lists(layout: Layout) -> tuple[list[TableRow], str]:
    """Read both lists: a row for each line, and the SHA-256 of both files.

    Raises:
        TableError: They don't go together.
    """
    try:
        pairs = join_lists(layout.file)
    except ListError as error:
        raise TableError(layout.problem(str(error), "write a line for each clip into both")) from None
    rows = [
        TableRow(place=number, name=name, captions=((one_line(text),),) if one_line(text) else ())
        for number, (name, text) in enumerate(pairs, 1)
    ]
    content = b"\0".join(path.read_bytes() for path in (layout.file.parent / CLIPS, layout.file))
    return rows, hashlib.sha256(content).hexdigest()


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ListError(f"`{path.name}` is not UTF-8: byte {error.start + 1} is no part of it") from None
    return [line.strip() for line in text.split("\n")]
