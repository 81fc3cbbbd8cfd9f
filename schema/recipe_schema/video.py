"""How a user's video file is opened. The survey and the encoder open the same files, so both read this."""

from typing import Final


OPEN_OPTIONS: Final = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,asf,flv,ogg",
}
"""FFmpeg follows file lists and web addresses that it finds inside of files, unless it is told what to open."""
