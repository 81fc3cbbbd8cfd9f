"""Writes clips as MP4 that plays everywhere: H.264, 4:2:0, index at the front."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recipe_runtime.errors import MediaError


_QUALITY = {"crf": "18", "preset": "medium", "mbtree": "0"}
"""libx264's constant quality: 18 is about where the eye sees no loss.

Its macroblock tree, combined with B-frames, turns the same frames into other bytes each time, so it is off.
"""


def write_mp4(path: Path, frames: NDArray[np.uint8], *, fps: float, note: str) -> None:
    """Write a clip; under its name it is complete, or it is not there.

    Args:
        path: The file, ending in ``.mp4``. Its folder must exist.
        frames: (frames, height, width, 3), RGB, both sides even.
        fps: Frames per second.
        note: Kept in the file's comment, see `read_note`.

    Raises:
        MediaError: It can't be encoded or written.
    """
    temporary = path.with_name(f".{path.stem}.part.mp4")
    try:
        _encode(temporary, frames, fps, note)
        os.replace(temporary, path)
    except (av.FFmpegError, OSError, ValueError) as error:
        temporary.unlink(missing_ok=True)
        raise MediaError(f"{path} can't be written: {error}; check the disk and run the same command again") from error


def to_frames(pixels: Tensor) -> NDArray[np.uint8]:
    """Turn pixels (3, frames, height, width), values -1 to 1, into RGB frames (frames, height, width, 3)."""
    scaled = ((pixels.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    frames: NDArray[np.uint8] = scaled.permute(1, 2, 3, 0).cpu().numpy()
    return frames


def read_note(path: Path) -> str | None:
    """Return the note of a clip that `write_mp4` wrote, or None if there is no such clip."""
    try:
        with av.open(
            f"file:{path}", options={"protocol_whitelist": "file", "format_whitelist": "mov,mp4"}
        ) as container:
            return container.metadata.get("comment")
    except (av.FFmpegError, OSError):
        return None


def _encode(path: Path, frames: NDArray[np.uint8], fps: float, note: str) -> None:
    with av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata["comment"] = note
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=_QUALITY)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
