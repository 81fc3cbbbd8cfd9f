"""Makes the folder of a data set of ``type: csv``: links to local clips and downloads, with captions beside them."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from recipe_compiler.data.fetched import read_marker
from recipe_compiler.data.manifest import Entry, Manifest
from recipe_compiler.fetch.download import download, sleep
from recipe_compiler.fetch.errors import FetchError
from recipe_compiler.fetch.folder import is_fetched, is_unused, refuse_foreign, write_marker
from recipe_schema.files import write_atomically


DOWNLOADS = ".downloads"
"""Hidden folder of what was downloaded, by the address's SHA-256."""

REMOVED = ".removed"
"""Hidden folder of links and captions that the table names no more."""


def fetch_manifest(
    manifest: Manifest,
    source: str,
    folder: Path,
    report: Callable[[str], None],
    *,
    pause: Callable[[float], None] = sleep,
) -> None:
    """Make a folder show the clips of a table. It may be asked again after the table has changed.

    Args:
        manifest: The clips.
        source: How the marker of the folder calls the table.
        folder: Unused, or made by this before.
        report: Told what happens, a line at a time.
        pause: Waits before another try, in seconds.

    Raises:
        FetchError: A clip can't be had, or the folder was made by something else. All others are there then.
    """
    if not is_fetched(folder, source):
        if not is_unused(folder):
            raise refuse_foreign(folder, source)
        folder.mkdir(parents=True, exist_ok=True)
        write_marker(folder, source, {"state": "", "files": []})
    marker = read_marker(folder)
    assert marker is not None, "it was read, or written, above"
    before = list(marker.get("files", []))
    write_marker(folder, source, {"state": "", "files": sorted({*before, *_files(manifest)})})
    _get_all(manifest, folder, report, pause)
    wanted = _files(manifest)
    for entry in manifest.entries:
        _show(entry, folder)
    for name in before:
        if name not in wanted:
            _put_aside(folder, name)
    write_marker(folder, source, {"state": manifest.state, "files": wanted})


def _get_all(manifest: Manifest, folder: Path, report: Callable[[str], None], pause: Callable[[float], None]) -> None:
    failed: list[str] = []
    for number, entry in enumerate(manifest.entries, 1):
        try:
            if entry.is_address:
                download(entry.source, _downloaded(entry, folder), report, pause=pause)
                report(f"{number} of {len(manifest.entries)}: {entry.source}")
            else:
                _refuse_missing(entry, manifest)
        except FetchError as error:
            failed.append(str(error))
            report(str(error))
    if failed:
        more = f" (and {len(failed) - 1} more of {len(manifest.entries)})" if len(failed) > 1 else ""
        raise FetchError(failed[0] + more)


def _refuse_missing(entry: Entry, manifest: Manifest) -> None:
    if not Path(entry.source).is_file():
        raise FetchError(f"`{entry.source}` of `{manifest.layout.file.name}` does not exist; correct the table")


def _downloaded(entry: Entry, folder: Path) -> Path:
    name = hashlib.sha256(entry.source.encode()).hexdigest()[:32]
    return folder / DOWNLOADS / f"{name}{PurePosixPath(entry.name).suffix}"


def _files(manifest: Manifest) -> list[str]:
    """Return the names of all links and captions."""
    files: list[str] = []
    for entry in manifest.entries:
        files.append(entry.name)
        if entry.captioned or _beside(entry) is not None:
            files.append(_text_name(entry))
    return files


def _text_name(entry: Entry) -> str:
    return PurePosixPath(entry.name).with_suffix(".txt").name


def _beside(entry: Entry) -> Path | None:
    """Return the caption file beside a local clip."""
    text = None if entry.is_address else Path(entry.source).with_suffix(".txt")
    return text if text is not None and text.is_file() else None


def _show(entry: Entry, folder: Path) -> None:
    """Link a clip into the folder, and put its caption beside it."""
    relative = Path(DOWNLOADS, _downloaded(entry, folder).name)
    _link(folder / entry.name, relative if entry.is_address else Path(entry.source))
    text, beside = folder / _text_name(entry), _beside(entry)
    if entry.captioned:
        write_atomically(text, ("\n".join(entry.lines) + "\n").encode())
    elif beside is not None:
        _link(text, beside)


def _link(link: Path, target: Path) -> None:
    """Make a link, in place of an older one."""
    temporary = link.with_name(f".{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)


def _put_aside(folder: Path, name: str) -> None:
    (folder / REMOVED).mkdir(exist_ok=True)
    if os.path.lexists(folder / name):
        os.replace(folder / name, folder / REMOVED / name)
