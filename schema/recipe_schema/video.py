"""How a user's video file is opened and timed. The survey and the encoder read the same files, so both read this."""

from typing import Final


OPEN_OPTIONS: Final = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,asf,flv,ogg",
}
"""FFmpeg follows file lists and web addresses that it finds inside of files, unless it is told what to open."""

SAME_TIME: Final = 1e-3
"""Seconds. WebM rounds timestamps to milliseconds, so a frame may come, and the last one end, that much after its time."""
