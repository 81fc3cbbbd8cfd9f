"""Small lossless pictures, as masks."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_png(path: Path, image: np.ndarray) -> Path:
    """Write a picture of (height, width, 3), uint8, RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = av.CodecContext.create("png", "w")
    codec.height, codec.width = image.shape[:2]
    codec.pix_fmt, codec.time_base = "rgb24", Fraction(1)
    packets = codec.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))
    path.write_bytes(b"".join(bytes(packet) for packet in (*packets, *codec.encode())))
    return path


def make_mask(path: Path, *, size: tuple[int, int] = (96, 64), white: int | None = None) -> Path:
    """Write a black picture of some width and height, the first columns white: half of them, or so many."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[:, : size[0] // 2 if white is None else white] = 255
    return write_png(path, image)
