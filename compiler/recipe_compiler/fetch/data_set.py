"""Makes the folder of a data set that is no plain folder, by its ``type``."""

from collections.abc import Callable
from pathlib import Path

from recipe_compiler.data.captions import caption_source
from recipe_compiler.data.fetched import wanted_source
from recipe_compiler.data.manifest import read_manifest
from recipe_compiler.data.probe import suffixes
from recipe_compiler.data.table import TableError
from recipe_compiler.fetch.errors import FetchError
from recipe_compiler.fetch.hub_rows import Wish
from recipe_compiler.fetch.hub_set import fetch_split
from recipe_compiler.fetch.manifest_clips import fetch_manifest
from recipe_compiler.fetch.shard_clips import fetch_shards
from recipe_compiler.fetch.store import fetch_store, open_store
from recipe_compiler.settings import Resolved


def fetch_data_set(settings: Resolved, table: str, root: Path, folder: Path, report: Callable[[str], None]) -> None:
    """Make ``folder`` hold what a data set names.

    Args:
        settings: Resolved settings.
        table: The data set, of ``type: csv``, ``huggingface``, ``webdataset`` or ``aws``; nothing is wrong with it.
        root: Where relative paths start.
        folder: The data set's folder, absolute.
        report: Told what happens, a line at a time.

    Raises:
        FetchError: It can't be made. The message says why and what to do.
    """
    kind, source = settings[f"{table}.type"], wanted_source(settings, table)
    try:
        if kind == "csv":
            fetch_manifest(read_manifest(settings, table, root), source, folder.resolve(), report)
        elif kind == "webdataset":
            fetch_shards(folder.resolve(), suffixes(settings[f"{table}.dataset_type"]), source, report)
        elif kind == "aws":
            bucket, prefix = (settings[f"{table}.{key}"] for key in ("aws_bucket_name", "aws_data_prefix"))
            region, address = (settings[f"{table}.{key}"] for key in ("aws_region_name", "aws_endpoint_url"))
            fetch_store(open_store(region, address), f"{bucket}/{prefix.strip('/')}", source, folder.resolve(), report)
        else:
            fetch_split(_wish(settings, table), source, folder.resolve(), report)
    except TableError as error:
        raise FetchError(f"{error}; {error.problems[0].help}") from error
    except OSError as error:
        raise FetchError(f"{folder} could not be written ({error}); check the disk and its permissions") from error


def _wish(settings: Resolved, table: str) -> Wish:
    captioned = caption_source(settings, table) == "fetched"
    columns = f"{table}.huggingface"
    images = settings[f"{table}.dataset_type"] == "image"
    return Wish(
        name=settings[f"{table}.dataset_name"],
        split=settings[f"{table}.split"],
        revision=settings[f"{table}.revision"],
        clips=settings[f"{columns}.{'image_column' if images else 'video_column'}"],
        endings=suffixes(settings[f"{table}.dataset_type"]),
        captions=tuple(settings[f"{columns}.caption_column"]) if captioned else (),
        fallback=settings[f"{columns}.fallback_caption_column"] if captioned else None,
        streams=settings[f"{table}.streaming"],
        at_most=settings[f"{table}.max_num_samples"],
    )
