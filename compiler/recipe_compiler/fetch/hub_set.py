"""Gets one split of a data set of the Hugging Face hub, for ``type: huggingface``: rows of Parquet, or files."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi, hf_hub_download

from recipe_compiler.fetch.caption_lists import join_lines, join_tables
from recipe_compiler.fetch.errors import FetchError
from recipe_compiler.fetch.folder import build_folder, is_fetched, is_unused, refuse_foreign
from recipe_compiler.fetch.hub import Snapshot, download_files, hub_errors
from recipe_compiler.fetch.hub_rows import ROWS_AT_ONCE, RowWriter, Wish
from recipe_compiler.fetch.hub_stream import stream_tables


SPLITS = ("train", "training", "validation", "valid", "val", "dev", "test", "testing", "eval", "evaluation")
"""Words in paths that the hub takes for splits. What has none of them belongs to ``train``."""


def fetch_split(wish: Wish, source: str, folder: Path, report: Callable[[str], None]) -> None:
    """Make ``folder`` hold the clips of a split, with captions beside them. It appears when it is complete.

    Args:
        wish: What is wanted.
        source: How the folder's marker calls it.
        folder: A complete one is left alone, any other that holds something is refused.
        report: Told what happens, a line at a time.

    Raises:
        FetchError: It can't be had.
    """
    if is_fetched(folder, source):
        report(f"{folder} already holds {source}")
        return
    if not is_unused(folder):
        raise refuse_foreign(folder, source)
    with hub_errors(wish.name):
        info = HfApi().dataset_info(wish.name, revision=wish.revision)
        commit = str(info.sha)
        card: dict[str, Any] = {} if info.card_data is None else info.card_data.to_dict()  # type: ignore[no-untyped-call]
        files = [sibling.rfilename for sibling in info.siblings or ()]
    tables = _tables(files, card, wish)
    if wish.streams:
        if not tables:
            raise FetchError(
                f"the data set {wish.name} has no Parquet files that could be streamed; leave out `streaming`"
            )
        stream_tables(wish, commit, tables, folder, source, report)
        return
    if not tables:
        others = _other_splits(files, wish)
        snapshot = Snapshot(name=wish.name, commit=commit, files=frozenset(files), leave_out=others)
        download_files(snapshot, folder, source, report, lambda partial: _caption_files(partial, wish, report))
        return
    report(f"downloading {len(tables)} Parquet files of {wish.name} at {commit}")
    with hub_errors(wish.name):
        local = [Path(hf_hub_download(wish.name, f, repo_type="dataset", revision=commit)) for f in tables]

    def copy(path: str, target: Path) -> None:
        with hub_errors(wish.name):
            file = hf_hub_download(wish.name, path, repo_type="dataset", revision=commit)
        shutil.copyfile(file, target)

    rows = RowWriter(wish, copy)

    def write(temporary: Path) -> None:
        for table in local:
            for row in _rows(table, wish):
                rows.write(row, temporary)

    build_folder(folder, source, write, {"revision": commit})
    report(f"wrote {rows.count} clips")


def _rows(table: Path, wish: Wish) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa  # noqa: PLC0415 - a lint does not load it
    from pyarrow import parquet  # noqa: PLC0415

    try:
        file = parquet.ParquetFile(table)
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=wish.columns(file.schema_arrow.names)):
            yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise FetchError(f"{table} can't be read ({error}); take it away and run again") from error


def _tables(files: Sequence[str], card: Mapping[str, Any], wish: Wish) -> list[str]:
    """Return the Parquet files of the split; none if the data set has other files."""
    tables = sorted(f for f in files if f.endswith(".parquet") and PurePosixPath(f).name != "metadata.parquet")
    patterns = _patterns(card, wish) if tables else None
    if patterns is not None:
        chosen = [f for f in tables if any(fnmatch(f, pattern) for pattern in patterns)]
    elif any(_split_of(f) for f in tables):
        chosen = [f for f in tables if wish.split in _split_of(f)]
    else:
        chosen = tables if wish.split == "train" else []
    if tables and not chosen:
        raise _no_split(wish)
    return chosen


def _no_split(wish: Wish) -> FetchError:
    return FetchError(f"the data set {wish.name} has no split `{wish.split}`; check `split`")


def _split_of(path: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", path.lower())) & set(SPLITS)


def _patterns(card: Mapping[str, Any], wish: Wish) -> list[str] | None:
    """Return which files the data set's page names for the split; None if it says nothing."""
    configs = [config for config in card.get("configs") or () if config.get("data_files")]
    if not configs:
        return None
    default = [c for c in configs if c.get("default") or c.get("config_name") == "default"] or configs
    if len(default) > 1:
        names = ", ".join(str(config.get("config_name")) for config in default)
        raise FetchError(f"the data set {wish.name} has several configurations ({names}), and none is the default")
    files = default[0]["data_files"]
    if isinstance(files, str):
        files = [files]
    given = [entry if isinstance(entry, dict) else {"split": "train", "path": entry} for entry in files]
    paths = [entry["path"] for entry in given if entry["split"] == wish.split]
    return [pattern for path in paths for pattern in ([path] if isinstance(path, str) else path)]


def _other_splits(files: Sequence[str], wish: Wish) -> tuple[str, ...]:
    """Return the clips that lie in folders of other splits."""
    clips = [f for f in files if PurePosixPath(f).suffix.lower() in wish.endings]
    splits = {f: set(PurePosixPath(f.lower()).parts[:-1]) & set(SPLITS) for f in clips}
    if not any(splits.values()):
        if wish.split != "train":
            raise _no_split(wish)
        return ()
    if not any(wish.split in of for of in splits.values()):
        raise _no_split(wish)
    return tuple(f for f, of in splits.items() if wish.split not in of)


def _caption_files(folder: Path, wish: Wish, report: Callable[[str], None]) -> None:
    """Write the captions of lists and tables beside the clips of a folder."""
    count = join_lines(folder)
    if count is None and wish.captions:
        count = join_tables(folder, wish.captions, wish.fallback)
        if count is None:
            report("it has neither Parquet files, nor a metadata table, nor videos.txt: captions are its .txt files")
