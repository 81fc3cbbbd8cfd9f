"""Unpacks the clips of tar files, for ``type: webdataset``: members of one name up to its first dot belong together."""

import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from recipe_compiler.data.fetched import UNPACKED, read_marker, shard_state, shards
from recipe_compiler.fetch.caption_lists import texts_of
from recipe_compiler.fetch.errors import FetchError
from recipe_compiler.fetch.folder import write_marker
from recipe_schema.files import sync_folder


_REPLACED = ".replaced"
_CAPTION_KEYS = ("caption", "text", "prompt")
"""Where a .json has the caption, if there is no .txt."""

_DIGITS = 12


def fetch_shards(folder: Path, endings: Collection[str], source: str, report: Callable[[str], None]) -> None:
    """Unpack all tar files of a folder into its subfolder ``unpacked``; what is unpacked already is left alone.

    Each tar file gets a folder that has the tar file's SHA-256 in its name, and appears when it is complete. One whose
    tar file has changed or is gone is moved to a hidden folder.

    Args:
        folder: The tar files.
        endings: Endings of the clips or pictures that are wanted, each with its dot.
        source: How the marker calls what is unpacked.
        report: Told what happens, a line at a time.

    Raises:
        FetchError: There are none, or one can't be unpacked.
    """
    place, state = folder / UNPACKED, shard_state(folder)
    if not state:
        raise FetchError(f"{folder} holds no .tar file; check `instance_data_dir`")
    if place.exists() and read_marker(place) is None and any(place.iterdir()):
        raise FetchError(f"{place} was not made by `recipe fetch`; it is left as it is: move it away")
    marker = read_marker(place)
    if marker is not None and marker["source"] != source:
        raise FetchError(f"{place} holds `{marker['source']}`, not `{source}`; move it away")
    place.mkdir(exist_ok=True)
    write_marker(place, source, {"state": {}})
    names = [_unpack(tar, tar.relative_to(folder), place, endings, report) for tar in shards(folder)]
    for old in sorted(place.iterdir()):
        if old.name not in names and not old.name.startswith("."):
            (place / _REPLACED).mkdir(exist_ok=True)
            old.rename(Path(tempfile.mkdtemp(dir=place / _REPLACED)) / old.name)
    write_marker(place, source, {"state": state})
    report(f"{folder} holds {len(names)} tar files, and all are unpacked")


def _unpack(tar: Path, relative: Path, place: Path, endings: Collection[str], report: Callable[[str], None]) -> str:
    """Unpack a tar file, unless that was done. Returns the name of its folder."""
    with tar.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    name = f"{'-'.join(relative.with_suffix('').parts)}-{sha256[:_DIGITS]}"
    if (place / name).is_dir():
        return name
    temporary = Path(tempfile.mkdtemp(prefix=".", dir=place))
    try:
        count = _extract(tar, temporary, endings)
        temporary.chmod(0o755)
        temporary.rename(place / name)
        sync_folder(place)
    except tarfile.TarError as error:
        raise FetchError(f"{tar} is broken ({error}); get it again, and run again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    report(f"unpacked {count} clip{'s' * (count != 1)} of {relative}")
    return name


def _extract(tar: Path, folder: Path, endings: Collection[str]) -> int:
    captions: dict[Path, str] = {}
    clips: set[Path] = set()
    with tarfile.open(tar) as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            suffix = name.suffix.lower()
            if not member.isfile() or suffix not in {*endings, ".txt", ".json"}:
                continue
            if name.is_absolute() or ".." in name.parts:
                raise FetchError(f"{tar} has a member `{name}` that lies outside; it is not unpacked")
            content, stem = archive.extractfile(member), folder / name.with_name(name.name.partition(".")[0])
            assert content is not None, "it is a file"
            if suffix == ".json":
                caption = _caption_in(content, tar, name)
                captions |= {} if caption is None else {stem: caption}
                continue
            path = stem.with_name(stem.name + suffix)
            if path.exists():
                raise FetchError(f"{tar} has two files for `{path.relative_to(folder)}`; write it anew")
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)
            clips |= {path} if suffix != ".txt" else set()
    for stem, caption in captions.items():
        text = stem.with_name(f"{stem.name}.txt")
        if not text.exists() and text.parent.is_dir():
            text.write_text(f"{caption}\n", encoding="utf-8")
    return len(clips)


def _caption_in(content: IO[bytes], tar: Path, name: PurePosixPath) -> str | None:
    try:
        record = json.load(content)
    except ValueError as error:
        raise FetchError(f"`{name}` in {tar} is no JSON ({error}); write it anew") from error
    if not isinstance(record, Mapping):
        return None
    given = (record[key] for key in _CAPTION_KEYS if isinstance(record.get(key), str | list))
    return next((value if isinstance(value, str) else "\n".join(texts_of(value)) for value in given), None)
