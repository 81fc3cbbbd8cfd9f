"""Whether the folder of a data set holds what the recipe names, for data sets that `recipe fetch` makes."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipe_compiler.data.captions import caption_source
from recipe_compiler.data.facts import Unfetched
from recipe_compiler.settings import Resolved


MARKER = ".fetched.json"
"""Written last into a folder: the folder is complete, and this is what it holds."""

UNPACKED = "unpacked"
"""The folder beside tar files that holds their clips."""

_FETCH = "run `recipe fetch RECIPE`"


def why_unfetched(settings: Resolved, table: str, root: Path, folder: Path) -> Unfetched | None:
    """Return why the folder of a data set has to be fetched; None if it is complete, is missing, or is no such data set.

    Raises:
        TableError: A table of clips can't be used.
    """
    kind = settings[f"{table}.type"]
    if kind == "local" or not settings.in_use(table):
        return None
    state = _state(settings, table, root, folder) if kind in ("csv", "webdataset") else None
    place = folder / UNPACKED if kind == "webdataset" else folder
    if not os.path.isdir(place):
        packed = kind == "webdataset" and bool(state)
        return Unfetched(message=f"the tar files in `{folder}` are not unpacked", help=_FETCH) if packed else None
    marker, wanted = read_marker(place), wanted_source(settings, table)
    if marker is None:
        return Unfetched(
            message=f"`{place}` was not made by `recipe fetch`", help="name another folder, or move this one away"
        )
    if marker["source"] != wanted:
        return Unfetched(
            message=f"`{place}` holds `{marker['source']}`, not `{wanted}`",
            help=f"name another folder, or move this one away; then {_FETCH}",
        )
    if state is not None and marker.get("state") != state:
        return Unfetched(
            message=f"`{place}` is not complete, or what it was made from has changed since", help=f"{_FETCH} again"
        )
    return None


def read_marker(folder: Path) -> Mapping[str, Any] | None:
    """Return what `recipe fetch` noted of a folder; None if there is no such note."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) and "source" in marker else None


def wanted_source(settings: Resolved, table: str) -> str:
    """Return what a folder has to hold, in the words of its marker."""
    kind = settings[f"{table}.type"]
    if kind == "csv":
        return f"csv:{settings[f'{table}.csv_file']}"
    images = settings[f"{table}.dataset_type"] == "image"
    if kind == "webdataset":
        return "webdataset of images" if images else "webdataset"
    if kind == "aws":
        bucket, prefix, address = (
            settings[f"{table}.{key}"] for key in ("aws_bucket_name", "aws_data_prefix", "aws_endpoint_url")
        )
        return f"s3://{bucket}/{prefix.strip('/')}" + (f" at {address}" if address else "")
    name, split, revision = (settings[f"{table}.{key}"] for key in ("dataset_name", "split", "revision"))
    words = [f"hf:{name}" + (f"@{revision}" if revision else ""), f"split {split}"]
    column = "image_column" if images else "video_column"
    words.append(f"clips {settings[f'{table}.huggingface.{column}']}")
    if caption_source(settings, table) == "fetched":
        words.append(f"captions {', '.join(settings[f'{table}.huggingface.caption_column'])}")
        fallback = settings[f"{table}.huggingface.fallback_caption_column"]
        words += [f"or {fallback}"] if fallback else []
    if settings[f"{table}.streaming"] and settings[f"{table}.max_num_samples"] is not None:
        words.append(f"the first {settings[f'{table}.max_num_samples']}")
    return " ".join(words)


def shards(folder: Path) -> tuple[Path, ...]:
    """Return the tar files of a folder, in order. Hidden ones, and those among unpacked clips, are not taken."""
    found = (path for path in folder.rglob("*.tar") if path.is_file())
    return tuple(sorted(path for path in found if not _is_aside(path.relative_to(folder))))


def _is_aside(path: Path) -> bool:
    return path.parts[0] == UNPACKED or any(part.startswith(".") for part in path.parts)


def shard_state(folder: Path) -> Mapping[str, list[int]]:
    """Return size in bytes and time of change, in nanoseconds, of each tar file."""
    stats = {path.relative_to(folder).as_posix(): path.stat() for path in shards(folder)}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def _state(settings: Resolved, table: str, root: Path, folder: Path) -> Any:
    if settings[f"{table}.type"] == "webdataset":
        return shard_state(folder)
    from recipe_compiler.data.manifest import read_manifest  # noqa: PLC0415 - most data sets are no table

    return read_manifest(settings, table, root).state
