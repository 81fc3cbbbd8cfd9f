"""What several rules ask of the data sets of a recipe."""

from collections.abc import Iterator, Mapping, Sequence

from recipe_compiler.data.captions import TABLES, caption_source
from recipe_compiler.settings import Resolved


DATA_SETS = "data.datasets"
ADDRESS: Mapping[str, str] = {"csv": "csv_file", "huggingface": "dataset_name", "aws": "aws_bucket_name"}
"""For each type of data set that is no folder, the key that says where its clips are."""

CHOOSING = ("closest", "random")
"""Values of ``crop_aspect`` that choose from ``crop_aspect_buckets``."""

SMALLEST_EDGE = 64
"""Pixels. No one trains below."""

LARGEST_AREA = 16
"""Megapixels. No one trains above."""


def in_use(settings: Resolved, *keys: str) -> Iterator[str]:
    """Yield the data sets in use of which nothing is wrong with these keys, as in ``data.datasets.0``."""
    for table in settings.tables(DATA_SETS):
        if settings.fine(*(f"{table}.{key}" for key in ("disabled", "dataset_type", *keys))) and settings.in_use(table):
            yield table


def videos_in_use(settings: Resolved, *keys: str) -> Iterator[str]:
    """Yield the data sets in use but those of images, as `in_use` does: only they have a length and a rate."""
    return (table for table in in_use(settings, *keys) if settings[f"{table}.dataset_type"] != "image")


def told(settings: Resolved, path: str) -> bool:
    """Say whether somebody wrote something other than the default: only then anything is expected of it."""
    setting = settings.settings[path]
    value = tuple(setting.value) if isinstance(setting.value, list) else setting.value
    return setting.given and value != setting.leaf.key.default


def meant_type(settings: Resolved, table: str) -> str | None:
    """Return the type that a local data set without a folder was meant to have: it says where its clips are."""
    if settings[f"{table}.type"] != "local" or settings[f"{table}.instance_data_dir"] is not None:
        return None
    return next((kind for kind, key in ADDRESS.items() if settings[f"{table}.{key}"] is not None), None)


def all_in_sight(settings: Resolved, looked: Sequence[str]) -> bool:
    """Say whether every data set in use that has clips was looked at, so that all samples are known."""
    return all(
        table in looked
        for table in settings.tables(DATA_SETS)
        if settings.in_use(table) and settings[f"{table}.dataset_type"] != "conditioning"
    )


def goes_together(settings: Resolved, table: str) -> bool:
    """Say whether the settings of sizes and shapes go together, so that clips can be looked at by them."""
    narrow, wide = settings[f"{table}.minimum_aspect_ratio"], settings[f"{table}.maximum_aspect_ratio"]
    choosing = settings[f"{table}.crop"] and settings[f"{table}.crop_aspect"] in CHOOSING
    return (
        in_other_unit(settings, table) is None
        and (not choosing or bool(settings[f"{table}.crop_aspect_buckets"]))
        and (narrow is None or wide is None or narrow <= wide)
    )


def in_other_unit(settings: Resolved, table: str) -> str | None:
    """Return the key of a data set, `resolution` or `minimum_image_size`, whose number is of another resolution_type."""
    resolution, least = settings[f"{table}.resolution"], settings[f"{table}.minimum_image_size"]
    if settings[f"{table}.resolution_type"] == "area":
        sizes = {"resolution": resolution, "minimum_image_size": least}
        return next((key for key, size in sizes.items() if size is not None and size > LARGEST_AREA), None)
    return "resolution" if resolution is not None and resolution < SMALLEST_EDGE else None


def scores_lack(settings: Resolved, table: str, source: str) -> tuple[str, str] | None:
    """Say what a source of motion scores lacks, and what to do; None if it lacks nothing."""
    captions = caption_source(settings, table)
    if source == "column" and captions not in TABLES:
        where = "tables that `recipe fetch` reads" if captions == "fetched" else f"`{captions}`"
        return (
            f"`motion.source: column` reads the data set's table of captions, and captions come from {where}",
            "put the scores into a table and set `source: file` with its `path`",
        )
    if source == "file" and settings[f"{table}.motion.path"] is None:
        return "`motion.source: file` needs a `path`", "add `path:`, a table of file names and scores"
    return None
