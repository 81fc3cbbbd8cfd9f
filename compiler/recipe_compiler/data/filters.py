"""Which readable clips of a data set are left out, and why. Each reason begins with a kind, as in ``too small: …``."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from recipe_compiler.settings import Resolved
from recipe_schema.ledger import ClipRow


NOT_CHOSEN = "not chosen"
"""The kind of a clip that `max_num_samples` passed over."""

TOO_SHORT = "too short"

KEYS = {
    TOO_SHORT: "video.min_frames",
    "too long": "video.max_frames",
    "too small": "minimum_image_size",
    "too narrow": "minimum_aspect_ratio",
    "too wide": "maximum_aspect_ratio",
    NOT_CHOSEN: "max_num_samples",
}
"""The key of the data set that leaves clips out, by the kind of the reason."""


def kind_of(reason: str) -> str:
    """Return what a reason says without its numbers."""
    return reason.partition(":")[0].partition("(")[0].strip()


def why_left_out(row: ClipRow, settings: Resolved, table: str) -> str:
    """Say why a clip of known size and length is not used; empty if it is.

    Args:
        row: A row with ``frames_at_rate`` and ``framerate``.
        settings: Resolved settings.
        table: The data set.
    """
    return next(iter((*_length(row, settings, table), *_shape(row, settings, table))), "")


def _length(row: ClipRow, settings: Resolved, table: str) -> Iterator[str]:
    if settings[f"{table}.dataset_type"] == "image":
        return
    least, most = settings[f"{table}.video.min_frames"], settings[f"{table}.video.max_frames"]
    rate = f" at {row.framerate:g} fps" if row.framerate else ""
    frames = f"{row.frames_at_rate} frame{'s' * (row.frames_at_rate != 1)}"
    length = f"{frames}{rate} ({row.seconds:.2f} s)"
    if row.frames_at_rate < least:
        yield f"{TOO_SHORT}: {length}, min_frames is {least}"
    if most is not None and row.frames_at_rate > most:
        yield f"too long: {length}, max_frames is {most}"


def _shape(row: ClipRow, settings: Resolved, table: str) -> Iterator[str]:
    size, kind = settings[f"{table}.minimum_image_size"], settings[f"{table}.resolution_type"]
    narrowest, widest = settings[f"{table}.minimum_aspect_ratio"], settings[f"{table}.maximum_aspect_ratio"]
    area, ratio = row.width * row.height, row.width / row.height
    if size is not None and kind == "pixel" and min(row.width, row.height) < size:
        yield f"too small: {row.width}x{row.height}, minimum_image_size is {size:g} pixels"
    if size is not None and kind == "area" and area < size * 1e6:
        yield f"too small: {row.width}x{row.height} is {area / 1e6:.3g} megapixels, minimum_image_size is {size:g}"
    if size is not None and kind == "pixel_area" and area < size**2:
        yield f"too small: {row.width}x{row.height}, minimum_image_size is the area of {size:g}x{size:g}"
    if narrowest is not None and ratio < narrowest:
        yield f"too narrow: {row.width}x{row.height} is {ratio:.3f}, minimum_aspect_ratio is {narrowest:g}"
    if widest is not None and ratio > widest:
        yield f"too wide: {row.width}x{row.height} is {ratio:.3f}, maximum_aspect_ratio is {widest:g}"


def choose(rows: Sequence[ClipRow], most: int | None) -> tuple[ClipRow, ...]:
    """Leave out trained clips of a data set beyond a number.

    The choice depends on the data set's id and the clips' bytes alone: not on their names and order, nor on the seed of
    training. A clip that is added or taken away changes the fate of at most one other.

    Args:
        rows: All rows of the data set.
        most: Clips to keep; None keeps all.
    """
    trained = [row for row in rows if row.fate == "trained"]
    if most is None or len(trained) <= most:
        return tuple(rows)
    reason = f"{NOT_CHOSEN}: max_num_samples takes {most} of {len(trained)} clips"
    kept = {row.path for row in sorted(trained, key=_lot)[:most]}
    return tuple(
        row if row.fate != "trained" or row.path in kept else replace(row, fate="filtered", reason=reason)
        for row in rows
    )


def _lot(row: ClipRow) -> tuple[bytes, str]:
    return hashlib.sha256(f"{row.dataset}/{row.sha256}".encode()).digest(), row.path


def without_twins(rows: Sequence[ClipRow]) -> list[ClipRow]:
    """Leave out the clips of a data set whose bytes and captions one before them has."""
    first: dict[tuple[str, ...], str] = {}
    found = []
    for row in rows:
        twin = first.setdefault((row.sha256, *row.texts), row.path) if row.fate == "trained" else row.path
        reason = f"there already: the bytes and captions of {twin}"
        found.append(row if twin == row.path else replace(row, fate="duplicate", reason=reason))
    return found
