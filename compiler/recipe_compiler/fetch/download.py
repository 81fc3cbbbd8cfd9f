"""Downloads files from addresses. What broke off goes on where it stopped, and checksums are kept."""

import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from recipe_compiler.fetch.errors import FetchError
from recipe_schema.files import write_atomically


TRIES = 4
"""How often a download is begun or gone on with before it counts as failed."""

_SECONDS = 60.0
"""How long a server may be silent."""

_PIECE = 1 << 20
_RANGE_BEYOND_END = 416


def download(address: str, target: Path, report: Callable[[str], None], *, pause: Callable[[float], None]) -> None:
    """Make ``target`` hold what is at an address; a complete one is left alone.

    Beside it lies ``NAME.json`` with the address, size and SHA-256, and ``NAME.part`` while it is not complete.

    Args:
        address: http or https.
        target: The file.
        report: Told what happens, a line at a time.
        pause: Waits, in seconds, before another try; `time.sleep`.

    Raises:
        FetchError: It can't be had.
    """
    if _is_complete(target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:
        number += 1
        try:
            _go_on(address, _part(target))
            break
        except (HTTPException, OSError) as error:
            if number == TRIES or not _may_pass(error):
                raise FetchError(
                    f"`{address}` could not be downloaded ({_words(error)}); check the address and the network, and "
                    "run again: what is there already is kept"
                ) from error
            report(f"{address}: {_words(error)}; trying again")
            pause(2.0**number)
    _complete(address, target)


sleep = time.sleep
"""The ``pause`` of real downloads."""


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _note(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _is_complete(target: Path) -> bool:
    try:
        size = json.loads(_note(target).read_text(encoding="utf-8"))["bytes"]
    except (OSError, ValueError, KeyError):
        return False
    return target.is_file() and target.stat().st_size == size


def _go_on(address: str, part: Path) -> None:
    """Download what is missing of a file.

    Raises:
        HTTPException: It broke off.
        OSError: No answer, or none that helps.
    """
    have, state = part.stat().st_size if part.is_file() else 0, _state(part)
    request = urllib.request.Request(address, headers={"User-Agent": "sana-recipes"})  # noqa: S310 - http and https only
    if have and state:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", state)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - the same
            _write(answer, part, have)
    except urllib.error.HTTPError as error:
        if error.code == _RANGE_BEYOND_END:
            os.truncate(part, 0)
        raise


def _write(answer: HTTPResponse, part: Path, have: int) -> None:
    goes_on = answer.status == 206  # noqa: PLR2004 - partial content
    length = answer.headers["Content-Length"]
    if not goes_on:
        # What the part is of: a server that has another file by now sends all of it. Weak tags don't promise the bytes.
        tag = answer.headers["ETag"] or ""
        known = answer.headers["Last-Modified"] if not tag or tag.startswith("W/") else tag
        write_atomically(_note(part), json.dumps({"state": known}).encode())
    start = have if goes_on else 0
    with part.open("ab" if goes_on else "wb") as file:
        for piece in _pieces(answer):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if length is not None and part.stat().st_size - start != int(length):
        raise HTTPException(f"{part.stat().st_size - start} of {length} bytes came")


def _pieces(answer: HTTPResponse) -> Iterator[bytes]:
    while piece := answer.read(_PIECE):
        yield piece


def _state(part: Path) -> str | None:
    try:
        known: Any = json.loads(_note(part).read_text(encoding="utf-8"))["state"]
    except (OSError, ValueError, KeyError):
        return None
    return str(known) if known else None


def _complete(address: str, target: Path) -> None:
    part = _part(target)
    with part.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    note = {"address": address, "bytes": part.stat().st_size, "sha256": sha256}
    os.replace(part, target)
    write_atomically(_note(target), json.dumps(note, indent=2).encode() + b"\n")
    _note(part).unlink()


def _may_pass(error: Exception) -> bool:
    """Say whether another try may help: the line broke off, or the server is busy."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in {408, _RANGE_BEYOND_END, 429} or error.code >= 500  # noqa: PLR2004 - the server's fault
    return True


def _words(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(reason).strip() or type(error).__name__
