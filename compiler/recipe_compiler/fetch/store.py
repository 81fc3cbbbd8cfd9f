"""Mirrors a folder of an S3 store, for ``type: aws``. Credentials come from the environment or the user's profile."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from recipe_compiler.fetch.errors import FetchError
from recipe_compiler.fetch.folder import complete_folder, is_fetched, is_unused, keep_only, refuse_foreign


TRIES = 3
"""How often an object is asked for before it counts as failed."""

_NOTES = ".objects.jsonl"


def open_store(region: str | None, address: str | None) -> Any:
    """Return the file system of an S3 store.

    Args:
        region: Its region; None for that of the environment or profile.
        address: Of a store that is not Amazon's; None for Amazon's.

    Raises:
        FetchError: The library for it is not installed.
    """
    region_of = {"region_name": region} if region is not None else {}
    try:
        return fsspec.filesystem("s3", endpoint_url=address, client_kwargs=region_of, skip_instance_cache=True)
    except ImportError as error:
        raise FetchError(
            "data sets in S3 stores need s3fs, which is not installed: `pip install 'sana-recipes[s3]'`"
        ) from error


def fetch_store(store: Any, root: str, source: str, folder: Path, report: Callable[[str], None]) -> None:
    """Make ``folder`` hold all objects below a prefix. It appears when it is complete.

    Objects go to a hidden folder beside it. An interrupted fetch goes on with those whose tag or size has changed, and
    with those that are missing.

    Args:
        store: A file system of fsspec.
        root: ``BUCKET/PREFIX``.
        source: How the folder's marker calls it.
        folder: A complete one is left alone, any other that holds something is refused.
        report: Told what happens, a line at a time.

    Raises:
        FetchError: An object can't be had; all others are there then.
    """
    if is_fetched(folder, source):
        report(f"{folder} already holds {source}")
        return
    if not is_unused(folder):
        raise refuse_foreign(folder, source)
    objects = _objects(store, root.rstrip("/"), source)
    partial = folder.parent / f".{folder.name}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    keep_only(partial, {*objects, _NOTES})
    notes, failed = _read_notes(partial / _NOTES), list[str]()
    for number, (name, (path, facts)) in enumerate(objects.items(), 1):
        target = partial / name
        if notes.get(name) == [source, *facts] and target.is_file() and target.stat().st_size == facts[0]:
            continue
        problem = _get(store, path, target, facts[0])
        if problem:
            failed.append(f"`{path}` could not be downloaded ({problem})")
            report(failed[-1])
            continue
        with (partial / _NOTES).open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, [source, *facts]]) + "\n")
        report(f"{number} of {len(objects)}: {name}")
    if failed:
        raise FetchError(
            f"{failed[0]}, one of {len(failed)} of {len(objects)}; run again: what is there already is kept"
        )
    complete_folder(partial, folder, source, {})


def _objects(store: Any, root: str, source: str) -> Mapping[str, tuple[str, tuple[int, str]]]:
    """Return the path of each object, its size in bytes and its tag, by its name below the prefix."""
    try:
        found = store.find(root, detail=True)
    except Exception as error:
        # The libraries below raise exceptions of their own for a network or credentials that fail.
        raise FetchError(
            f"{source} could not be listed ({_words(error)}); check the name, the region and your credentials"
        ) from error
    objects = {}
    for path, facts in sorted(found.items()):
        name = PurePosixPath(path.lstrip("/")).relative_to(root).as_posix()
        if ".." in PurePosixPath(name).parts or name == ".":
            raise FetchError(f"{source} has an object `{path}` that lies outside of a folder; name a deeper prefix")
        if not path.endswith("/"):
            objects[name] = (path, (int(facts["size"]), str(facts.get("ETag", ""))))
    if not objects:
        raise FetchError(f"{source} holds nothing; check `aws_bucket_name` and `aws_data_prefix`")
    return objects


def _get(store: Any, path: str, target: Path, size: int) -> str:
    """Download an object. Returns what went wrong; empty if nothing did."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part, problem = target.with_name(f".{target.name}.part"), ""
    for _ in range(TRIES):
        try:
            store.get_file(path, str(part))
        except Exception as error:  # noqa: BLE001 - the same
            problem = _words(error)
            continue
        if part.stat().st_size == size:
            os.replace(part, target)
            return ""
        problem = f"{part.stat().st_size} of {size} bytes came"
    return problem


def _read_notes(file: Path) -> Mapping[str, list[Any]]:
    """Return what is known of the objects that were downloaded; a last line that broke off is none."""
    notes = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        try:
            name, facts = json.loads(line)
        except ValueError:
            continue
        notes[name] = facts
    return notes


def _words(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ["no details"]
    return f"{type(error).__name__}: {lines[0]}"
