"""Gets one split of a data set of the Hugging Face hub, for ``type: huggingface``: rows of Parquet, or files."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi, hf_hub_download

from recipe_compiler.data.probe import VIDEO_SUFFIXES
from recipe_compiler.fetch.caption_lists import caption_of, join_lines, join_tables, write_caption
from recipe_compiler.fetch.errors import FetchError
from recipe_compiler.fetch.folder import build_folder, is_fetched, is_unused, refuse_foreign
from recipe_compiler.fetch.hub import Snapshot, download_files, hub_errors


SPLITS = ("train", "training", "validation", "valid", "val", "dev", "test", "testing", "eval", "evaluation")
"""Words in paths that the hub takes for splits. What has none of them belongs to ``train``."""

_ROWS_AT_ONCE = 4
"""Rows of clips that are in memory at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted of a data set.

    Attributes:
        name: ``OWNER/NAME``.
        split: Its split.
        revision: Branch, tag or commit; None for the newest.
        clips: The column of clips.
        endings: Endings of what it holds, each with its dot.
        captions: The columns of captions; empty where captions come from elsewhere.
        fallback: The column that is used where captions are empty.
    """

    name: str
    split: str
    revision: str | None
    clips: str
    endings: frozenset[str] = VIDEO_SUFFIXES
    captions: tuple[str, ...]
    fallback: str | None


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
    if not tables:
        snapshot = Snapshot(name=wish.name, commit=commit, leave_out=_other_splits(files, wish))
        download_files(snapshot, folder, source, report, lambda partial: _caption_files(partial, wish, report))
        return
    report(f"downloading {len(tables)} Parquet files of {wish.name} at {commit}")
    with hub_errors(wish.name):
        local = [Path(hf_hub_download(wish.name, f, repo_type="dataset", revision=commit)) for f in tables]
    rows = _Rows(wish, commit)
    build_folder(folder, source, lambda temporary: rows.write(local, temporary), {"revision": commit})
    report(f"wrote {rows.count} clips")


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


_PICTURES = ((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"RIFF", ".webp"))


def _suffix(content: bytes, endings: frozenset[str]) -> str:
    """Return the ending of a file that has no name: that of a picture by its first bytes, or .mp4, as players look inside."""
    if endings == VIDEO_SUFFIXES:
        return ".mp4"
    return next((suffix for start, suffix in _PICTURES if content.startswith(start)), ".jpg")


class _Rows:
    """Writes the clips of Parquet files."""

    def __init__(self, wish: Wish, commit: str) -> None:
        self.count = 0
        self._wish = wish
        self._commit = commit

    def write(self, tables: Sequence[Path], folder: Path) -> None:
        """Write all clips of Parquet files into a folder.

        Raises:
            FetchError: A table lacks a column, or a row holds no clip.
        """
        names: set[str] = set()
        for table in tables:
            for row in self._rows(table):
                self.count += 1
                content, path = self._clip(row[self._wish.clips])
                target = folder / self._name(path, content, names)
                if content is None:
                    shutil.copyfile(self._download(path), target)
                else:
                    target.write_bytes(content)
                write_caption(target, caption_of(row, self._wish.captions, self._wish.fallback))

    def _rows(self, table: Path) -> Iterator[Mapping[str, Any]]:
        import pyarrow as pa  # noqa: PLC0415 - a lint does not load it
        from pyarrow import parquet  # noqa: PLC0415

        wish = self._wish
        wanted = [wish.clips, *wish.captions, *([wish.fallback] if wish.fallback else [])]
        try:
            file = parquet.ParquetFile(table)
            there = file.schema_arrow.names
            for column in wanted:
                if column not in there:
                    raise FetchError(
                        f"the data set {wish.name} has no column `{column}`; its columns are {', '.join(there)}"
                    )
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=wanted):
                yield from batch.to_pylist()
        except pa.ArrowException as error:
            raise FetchError(f"{table} can't be read ({error}); take it away and run again") from error

    def _clip(self, value: Any) -> tuple[bytes | None, str]:
        """Return the bytes of a clip, or None and its path in the data set."""
        if isinstance(value, str):
            value = {"path": value}
        elif isinstance(value, bytes):
            value = {"bytes": value}
        content, path = (value.get("bytes"), value.get("path") or "") if isinstance(value, dict) else (None, "")
        if content is None and (not path or "://" in path):
            raise FetchError(
                f"row {self.count} of {self._wish.name} holds no clip in its column `{self._wish.clips}`"
                + (f" but the address `{path}`; take `type: csv` for a table of addresses" if path else "")
            )
        return content, path

    def _name(self, path: str, content: bytes | None, names: set[str]) -> str:
        """Return a file name of its own for a row's clip, with the ending that its path has or its first bytes tell."""
        name = PurePosixPath(path.replace("\\", "/")).name
        suffix = PurePosixPath(name).suffix.lower()
        suffix = suffix if suffix in self._wish.endings else _suffix(content or b"", self._wish.endings)
        stem = (PurePosixPath(name).stem if name else f"{self.count:06d}").lstrip(".") or f"{self.count:06d}"
        if stem.casefold() in names:
            stem = f"{stem}-{self.count:06d}"
        names.add(stem.casefold())
        return stem + suffix

    def _download(self, path: str) -> str:
        with hub_errors(self._wish.name):
            return hf_hub_download(self._wish.name, path, repo_type="dataset", revision=self._commit)
