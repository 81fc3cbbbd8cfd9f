"""How a user's video or picture is opened and timed. The survey and the encoder read the same files, so both read this."""

from pathlib import Path, PurePath
from typing import Final


OPEN_OPTIONS: Final = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,asf,flv,ogg",
}
"""FFmpeg follows file lists and web addresses that it finds inside of files, unless it is told what to open."""

PICTURE_OPTIONS: Final = {"protocol_whitelist": "file"}
"""The same for pictures, whose format is stated: see `picture_format`."""

PICTURE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp"})
"""Files with these endings are pictures: images to train, or masks that hold for a whole clip."""

SAME_TIME: Final = 1e-3
"""Seconds. WebM rounds timestamps to milliseconds, so a frame may come, and the last one end, that much after its time."""


def picture_format(path: Path) -> str:
    """Return what FFmpeg calls the format of a picture. It does not know each JPEG file for one by itself.

    Raises:
        OSError: The file can't be read.
        ValueError: It is neither JPEG nor PNG nor WebP.
    """
    with path.open("rb") as file:
        start = file.read(12)
    if start.startswith(b"\xff\xd8"):
        return "jpeg_pipe"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png_pipe"
    if start.startswith(b"RIFF") and start.endswith(b"WEBP"):
        return "webp_pipe"
    raise ValueError("it begins like no JPEG, PNG or WebP file")


def is_picture(path: PurePath) -> bool:
    """Say whether a file is a picture by its name."""
    return path.suffix.lower() in PICTURE_SUFFIXES
