"""Which folders this tool made: they hold a marker, and no other folder is ever written to."""

import json
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from recipe_compiler.data.fetched import MARKER
from recipe_compiler.fetch.errors import FetchError
from recipe_schema.files import write_atomically


__all__ = [
    "MARKER",
    "build_folder",
    "complete_folder",
    "is_fetched",
    "is_unused",
    "keep_only",
    "make_folder",
    "refuse_foreign",
    "write_marker",
]


def is_fetched(folder: Path, source: str) -> bool:
    """Say whether ``folder`` already holds all of ``source``.

    Raises:
        FetchError: It holds another source, or its marker can't be read.
    """
    marker = folder / MARKER
    if not marker.is_file():
        return False
    try:
        held = json.loads(marker.read_text(encoding="utf-8"))["source"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FetchError(f"{marker} can't be read ({error}); move {folder} away and run again") from error
    if held != source:
        raise FetchError(f"{folder} holds `{held}`, not `{source}`; name another folder, or move this one away")
    return True


def keep_only(folder: Path, names: Collection[str]) -> None:
    """Remove what an interrupted fetch left that is not wanted any longer: it was deleted, or something else is asked for.

    Args:
        folder: The hidden folder of the fetch.
        names: Paths of the files that stay.
    """
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder comes before it
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in names:
            path.unlink()


def write_marker(folder: Path, source: str, facts: Mapping[str, Any]) -> None:
    """Write into a folder what it holds.

    Args:
        folder: Is complete, or its facts say that it is not.
        source: What it holds.
        facts: More, for the next fetch and for people.
    """
    write_atomically(folder / MARKER, json.dumps({"source": source, **facts}, indent=2).encode() + b"\n")


def is_unused(folder: Path) -> bool:
    """Say whether ``folder`` does not exist, or is an empty folder: nothing in it can be lost."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def refuse_foreign(folder: Path, source: str) -> FetchError:
    """Return the error for a folder that something else made."""
    return FetchError(
        f"{folder} exists and was not made by `recipe fetch`; it is left as it is: "
        f"name another folder for `{source}`, or move this one away"
    )


def build_folder(
    folder: Path, source: str, build: Callable[[Path], None], facts: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Fill a temporary folder beside ``folder`` with ``build``, and rename it: all of it appears, or nothing.

    Args:
        folder: Must be unused, see `is_unused`.
        source: What the folder will hold.
        build: Called with an empty folder that it fills.
        facts: More for people to find in the marker.

    Raises:
        FetchError: Another process put something there meanwhile.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        build(temporary)
        temporary.chmod(0o755)
        complete_folder(temporary, folder, source, facts)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_folder(folder: Path, source: str, build: Callable[[Path], None], report: Callable[[str], None]) -> None:
    """Build a folder as `build_folder` does, unless it is complete already.

    Args:
        folder: One that holds something else is refused.
        source: What the folder will hold.
        build: Called with an empty folder that it fills.
        report: Told if there is nothing to do.

    Raises:
        FetchError: The folder was made by something else, or another process put something there meanwhile.
    """
    if is_fetched(folder, source):
        report(f"{folder} already holds {source}")
    elif is_unused(folder):
        build_folder(folder, source, build)
    else:
        raise refuse_foreign(folder, source)


def complete_folder(temporary: Path, folder: Path, source: str, facts: Mapping[str, Any]) -> None:
    """Put the marker into ``temporary`` and rename it to ``folder``.

    Args:
        temporary: Holds all of ``source``; on the same disk as ``folder``.
        folder: Must be unused, see `is_unused`.
        source: What the folder will hold.
        facts: More for people to find in the marker.

    Raises:
        FetchError: Another process put something there meanwhile.
    """
    write_marker(temporary, source, facts)
    try:
        temporary.rename(folder)
    except OSError as error:
        if is_unused(folder):
            raise
        if not is_fetched(folder, source):
            raise refuse_foreign(folder, source) from error
