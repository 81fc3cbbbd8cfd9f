"""Moves clips that can't be read out of their data folder, for ``data.on_problem: delete``. Nothing is removed.

The trash of a data folder lies beside it and is hidden, so that no data set finds it: ``.NAME.trash``. Files keep their
paths below it, and ``manifest.jsonl`` in it has a line for each: where it was, where it is, and why.
"""

import datetime as dt
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipe_compiler.data.probe import Probe
from recipe_compiler.data.probing import probe_each
from recipe_schema.ledger import ClipRow


MANIFEST = "manifest.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What became of a clip that can't be read.

    Attributes:
        path: Where it was.
        to: Where it is now; None if it stays.
        reason: Why it was moved, or why it stays.
    """

    path: Path
    to: Path | None
    reason: str

    def __str__(self) -> str:
        """Say it in a line."""
        if self.to is None:
            return f"left {self.path} where it is: {self.reason}"
        return f"moved {self.path}, which {self.reason}, to {self.to}"


def move_unreadable(
    rows: Sequence[ClipRow],
    folders: Mapping[str, Path],
    look_again: Callable[[Sequence[Path]], Iterator[tuple[Path, Probe]]] = probe_each,
) -> Iterator[Moved]:
    """Move the clips that can't be read, one after the other. Each is looked at again first: a disk may fail for a moment.

    Args:
        rows: The ledger.
        folders: The folder of each data set, by its id.
        look_again: Looks at files.
    """
    unread = {Path(os.path.normpath(folders[row.dataset] / row.path)): row for row in rows if row.fate == "quarantined"}
    there = [path for path in unread if os.path.lexists(path)]
    for path, facts in sorted(look_again(there), key=lambda seen: seen[0]):
        row = unread[path]
        yield _move(path, folders[row.dataset].resolve(), row, facts.problem)


def _move(path: Path, folder: Path, row: ClipRow, problem: str) -> Moved:
    home = path.parent.resolve()
    if not problem:
        return Moved(path=path, to=None, reason="it can be read now")
    if not home.is_relative_to(folder):
        return Moved(path=path, to=None, reason=f"a link leads out of the data folder, to {home}")
    trash = folder.parent / f".{folder.name}.trash"
    try:
        to = _free(trash / row.path)
        to.parent.mkdir(parents=True, exist_ok=True)
        _note(trash, {"from": str(path), "to": to.relative_to(trash).as_posix(), "reason": problem})
        os.rename(path, to)
    except OSError as error:
        return Moved(path=path, to=None, reason=f"it can't be moved to {trash}: {error.strerror}")
    return Moved(path=path, to=to, reason=problem)


def _free(wanted: Path) -> Path:
    """Return a name that nothing has: the one that is wanted, or that with a number."""
    number, to = 1, wanted
    while os.path.lexists(to):
        number += 1
        to = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    return to


def _note(trash: Path, entry: Mapping[str, str]) -> None:
    """Write a line before a file is moved: it may name one that still lies in its place, and leaves none out."""
    when = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    with (trash / MANIFEST).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"time": when, **entry}, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
