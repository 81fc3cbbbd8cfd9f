"""Gets the folder of a data set from where its ``source`` says."""

from collections.abc import Callable, Mapping
from pathlib import Path

from recipe_compiler.fetch.errors import FetchError
from recipe_compiler.fetch.hub import fetch_dataset
from recipe_compiler.fetch.sample_clips import make_sample_clips
from recipe_compiler.fetch.shapes_clips import make_bars, make_shapes


__all__ = ["FetchError", "fetch_source"]

Report = Callable[[str], None]


def fetch_source(source: str, folder: Path, report: Report) -> None:
    """Make ``folder`` hold all of ``source``; one that does already is left alone.

    Args:
        source: The key ``source`` of a data set: ``hf:OWNER/NAME`` or ``builtin:NAME``.
        folder: The data set's folder, absolute.
        report: Told what happens, a line at a time.

    Raises:
        FetchError: It can't be made. The message says why and what to do.
    """
    scheme, _, name = source.partition(":")
    if scheme not in _SCHEMES:
        raise FetchError(f"`{source}` is no source; write hf:OWNER/NAME, or builtin:{', builtin:'.join(_BUILTIN)}")
    try:
        _SCHEMES[scheme](name, folder.resolve(), report)  # behind a link, so that renaming stays on one disk
    except OSError as error:
        raise FetchError(f"{folder} could not be written ({error}); check the disk and its permissions") from error


def _fetch_builtin(name: str, folder: Path, report: Report) -> None:
    if name not in _BUILTIN:
        raise FetchError(f"there is no `builtin:{name}`; there is builtin:{', builtin:'.join(_BUILTIN)}")
    _BUILTIN[name](folder, report)


_BUILTIN: Mapping[str, Callable[[Path, Report], None]] = {
    "sample-clips": make_sample_clips,
    "shapes": make_shapes,
    "bars": make_bars,
}
_SCHEMES: Mapping[str, Callable[[str, Path, Report], None]] = {"hf": fetch_dataset, "builtin": _fetch_builtin}
