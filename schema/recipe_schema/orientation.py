"""How a picture's file says that it is to be turned: the EXIF orientation of JPEG, PNG and WebP.

Cameras store the sensor's rows as they come, and note how they were held. FFmpeg tells of this in some versions only, and
never of mirrored pictures, so the survey and the encoder both ask here.
"""

import struct
from pathlib import Path
from typing import BinaryIO, Final


UPRIGHT: Final = 1
"""Rows from the top, columns from the left."""

SIDEWAYS: Final = frozenset({5, 6, 7, 8})
"""Orientations in which width and height change places."""

_TAG: Final = 0x0112
_LARGEST: Final = 1 << 24
"""Bytes of EXIF data that are looked at. Those of cameras have some thousands."""


def orientation(path: Path) -> int:
    """Return the orientation that a picture's file states, 1 to 8; 1 if it states none.

    Raises:
        OSError: The file can't be read.
    """
    with path.open("rb") as file:
        start = file.read(12)
        if start[:2] == b"\xff\xd8":
            file.seek(2)
            exif = _jpeg(file)
        elif start[:8] == b"\x89PNG\r\n\x1a\n":
            file.seek(8)
            exif = _png(file)
        elif start[:4] == b"RIFF" and start[8:] == b"WEBP":
            exif = _webp(file)
        else:
            exif = b""
    try:
        found = _stated(exif.removeprefix(b"Exif\0\0"))
    except struct.error:  # cut short
        return UPRIGHT
    return found if found in range(1, 9) else UPRIGHT


def _jpeg(file: BinaryIO) -> bytes:
    """Return the EXIF segment before the picture itself; empty if there is none."""
    while (mark := file.read(2)) and mark[0] == 0xFF and mark[1] != 0xDA and len(size := file.read(2)) == 2:  # noqa: PLR2004 - a marker, the start of a scan, and two bytes of length
        content = file.read(max(int.from_bytes(size, "big") - 2, 0))
        if mark[1] == 0xE1 and content.startswith(b"Exif\0\0"):  # noqa: PLR2004 - the marker of application data
            return content
    return b""


def _png(file: BinaryIO) -> bytes:
    while len(head := file.read(8)) == 8:  # noqa: PLR2004 - a chunk's length and name
        size = int.from_bytes(head[:4], "big")
        if head[4:] == b"eXIf":
            return file.read(min(size, _LARGEST))
        file.seek(size + 4, 1)
    return b""


def _webp(file: BinaryIO) -> bytes:
    while len(head := file.read(8)) == 8:  # noqa: PLR2004 - a chunk's name and length
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"EXIF":
            return file.read(min(size, _LARGEST))
        file.seek(size + size % 2, 1)
    return b""


def _stated(exif: bytes) -> int:
    """Read the orientation from the first directory of TIFF data."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return UPRIGHT
    (place,) = struct.unpack_from(f"{order}I", exif, 4)
    (count,) = struct.unpack_from(f"{order}H", exif, place)
    for entry in range(count):
        tag, kind = struct.unpack_from(f"{order}HH", exif, place + 2 + 12 * entry)
        if tag == _TAG and kind == 3:  # noqa: PLR2004 - a number of 16 bits
            (value,) = struct.unpack_from(f"{order}H", exif, place + 10 + 12 * entry)
            return int(value)
    return UPRIGHT
