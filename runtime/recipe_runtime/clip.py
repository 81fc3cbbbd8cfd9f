"""A clip as the plan says: decoded, resampled by timestamps, turned upright, resized and cropped."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
import torch
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from recipe_runtime.errors import MediaError
from recipe_schema.ledger import ClipRow
from recipe_schema.orientation import SIDEWAYS, orientation
from recipe_schema.plan import FirstImage
from recipe_schema.video import OPEN_OPTIONS, PICTURE_OPTIONS, SAME_TIME, is_picture, picture_format


Place: TypeAlias = ClipRow | FirstImage
"""What says how a frame is resized and cropped."""

DECODE_VERSION = 1
"""Raised whenever the same file and plan give other pixels. It is part of the key of latents."""


_BITS = 8
"""Bits of a channel that need no scaling."""


def read_clip(path: Path, row: ClipRow) -> Tensor:
    """Decode the training sample of a clip.

    Sample i is the frame on screen at ``start_seconds + i / framerate``, counted from the first frame. With a
    framerate of 0, samples are frames as they follow each other, whatever their timestamps are. A frame is
    resized with torch's antialiased bicubic filter, in fp32: swscale's filters differ between builds and
    processors, and this value enters a content-addressed store.

    A picture is a clip of one frame.

    Args:
        path: The file.
        row: What the plan says of it.

    Returns:
        Frames of shape (frames, height, width, 3), uint8, RGB.

    Raises:
        MediaError: The file can't be decoded, or ends too early.
    """
    return ClipReader().read(path, row)


class ClipReader:
    """Reads one training sample after the other.

    Windows of one clip that are read in order of time, and don't overlap, are read in one pass through the file.
    """

    def __init__(self) -> None:
        self._open: _Pass | None = None

    def read(self, path: Path, row: ClipRow) -> Tensor:
        """Decode a training sample. See `read_clip`.

        Raises:
            MediaError: The file can't be decoded, or ends too early.
        """
        if is_picture(path):
            return read_image(path, row)
        passing = self._open if self._open is not None and self._open.can_reach(path, row) else _Pass(path)
        self._open = None
        frames = torch.empty((row.bucket_frames, row.bucket_height, row.bucket_width, 3), dtype=torch.uint8)
        count = 0
        for picture, samples in _shown_by(passing, path, row):
            frames[count : count + samples] = _fit(picture, row)
            count += samples
        if row.window:
            self._open = passing
        return frames


def shown_frames(path: Path, row: ClipRow) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Yield the frames that a clip's training sample needs, in their own size, and for how many samples each stands.

    Args:
        path: The file.
        row: What the plan says of it.

    Yields:
        A frame, upright, (height, width, 3), RGB, and a number of samples. The numbers add up to the sample's frames.

    Raises:
        MediaError: The file can't be decoded, or ends too early.
    """
    yield from _shown_by(_Pass(path), path, row)


def _shown_by(passing: "_Pass", path: Path, row: ClipRow) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Yield what `shown_frames` does, from where a pass stands."""
    count = 0
    for frame, samples in _sampled(passing, row):
        with _decoding(path):
            picture = _upright(frame)
        yield picture, samples
        count += samples
    if count < row.bucket_frames:
        rate = f" at {row.framerate:g} fps" if row.framerate else ""
        raise MediaError(
            f"{path} ends after {count} of {row.bucket_frames} frames{rate}; repair or remove the "
            "file and plan anew with `recipe plan RECIPE`"
        )


def shown_picture(path: Path) -> NDArray[np.uint8]:
    """Decode a picture: upright, (height, width, 3), RGB.

    Raises:
        MediaError: The file can't be decoded.
    """
    with _decoding(path):
        return _picture(path)


def _picture(path: Path) -> NDArray[np.uint8]:
    with av.open(f"file:{path}", format=picture_format(path), options=PICTURE_OPTIONS) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(np.uint8, copy=False)
        return _turned(picture, orientation(path))


def read_image(path: Path, row: ClipRow) -> Tensor:
    """Decode a picture that is trained.

    It is turned as its file says. Transparent places are laid over white, and 16 bits become 8 by dividing by 257. Color
    profiles are not applied: numbers are taken for sRGB, and those of CMYK are multiplied with black.

    Args:
        path: The file.
        row: What the plan says of it.

    Returns:
        One frame of shape (1, height, width, 3), uint8, RGB.

    Raises:
        MediaError: The file can't be decoded.
    """
    with (
        _decoding(path),
        av.open(f"file:{path}", format=picture_format(path), options=PICTURE_OPTIONS) as container,
    ):
        return _fit(_turned(_over_white(next(container.decode(video=0))), orientation(path)), row)[None]


def _over_white(frame: VideoFrame) -> NDArray[np.uint8]:
    """Return a picture as (height, width, 3), RGB, with white behind what is transparent."""
    parts = frame.format.components
    if not frame.format.has_palette and not any(part.is_alpha for part in parts) and parts[0].bits <= _BITS:
        return frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    if parts[0].bits <= _BITS:
        picture, depth = frame.to_ndarray(format="rgba").astype(np.int32), 255
    else:
        picture, depth = frame.to_ndarray(format="rgba64le").astype(np.int64), 65535
    color, alpha = picture[..., :3], picture[..., 3:]
    # Whole numbers alone, rounded once: the same bits everywhere.
    over = color * alpha + depth * (depth - alpha)
    return ((over * 255 + depth * depth // 2) // (depth * depth)).astype(np.uint8)


def _turned(picture: NDArray[np.uint8], stated: int) -> NDArray[np.uint8]:
    """Turn a picture of an EXIF orientation upright."""
    if stated in SIDEWAYS:
        picture = picture.swapaxes(0, 1)
    if stated in (3, 4, 7, 8):
        picture = picture[::-1]
    return picture[:, ::-1] if stated in (2, 3, 6, 7) else picture


def read_picture(path: Path, row: ClipRow) -> Tensor:
    """Decode a picture that belongs to a clip, resized and cropped as that is.

    Args:
        path: The file.
        row: What the plan says of the clip.

    Returns:
        One frame of shape (1, height, width, 3), uint8, RGB.

    Raises:
        MediaError: The file can't be decoded.
    """
    return _fit(shown_picture(path), row)[None]


def read_first_frame(path: Path, place: Place) -> Tensor:
    """Decode a picture, or the first frame of a video, from which a clip starts.

    Args:
        path: The file.
        place: How it is resized and cropped.

    Returns:
        One frame of shape (1, height, width, 3), uint8, RGB.

    Raises:
        MediaError: The file can't be decoded.
    """
    try:
        if is_picture(path):
            return _fit(_picture(path), place)[None]
        with av.open(f"file:{path}", options=OPEN_OPTIONS) as container:
            return _fit(_upright(next(container.decode(video=0))), place)[None]
    except (av.error.FFmpegError, OSError, ValueError, StopIteration) as error:
        raise MediaError(f"{path} can't be decoded: {error}; take another picture in `validation.images`") from error


def to_pixels(frames: Tensor) -> Tensor:
    """Turn frames (frames, height, width, 3), uint8, into pixels (3, frames, height, width), fp32, -1 to 1."""
    return frames.permute(3, 0, 1, 2).float() / 127.5 - 1.0


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Say in a sentence what the video library can't do with a file."""
    try:
        yield
    except (av.error.FFmpegError, OSError, IndexError, ValueError, StopIteration) as error:
        raise MediaError(
            f"{path} can't be decoded: {error}; repair or remove the file and plan anew with `recipe plan RECIPE`"
        ) from error


class _Pass:
    """A pass through a file, which stands at one of its frames.

    Attributes:
        frame: The frame; None beyond the last one.
        number: Its number, from 0.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames = _shown(path)
        self._before = self._until = 0.0
        self.frame: VideoFrame | None = None
        self.number = -1
        self.advance()

    def advance(self) -> None:
        """Go on to the next frame."""
        self._before, self.number = self._until, self.number + 1
        self.frame, self._until = next(self._frames, (None, math.inf))

    def can_reach(self, path: Path, row: ClipRow) -> bool:
        """Say whether a sample is of this file, and none of its frames lies behind."""
        if row.framerate:
            return path == self._path and _time(row, 0) >= self._before
        return path == self._path and _first(row) >= self.number

    def shows(self, row: ClipRow, index: int) -> bool:
        """Say whether the frame is that of a sample's place, where those before it have been passed."""
        return _time(row, index) < self._until if row.framerate else _first(row) + index == self.number


def _time(row: ClipRow, index: int) -> float:
    """Return when a frame of a sample is on screen, in seconds; a frame that ends within `SAME_TIME` is over."""
    return row.start_seconds + index / row.framerate + SAME_TIME


def _first(row: ClipRow) -> int:
    """Return the number of a sample's first frame in its file, for frames as they follow each other."""
    return round(row.start_seconds * row.fps)


def _sampled(passing: _Pass, row: ClipRow) -> Iterator[tuple[VideoFrame, int]]:
    """Yield every frame that is needed, with the number of samples that it is on screen for."""
    index = 0
    while passing.frame is not None:
        first = index
        while index < row.bucket_frames and passing.shows(row, index):
            index += 1
        if index > first:
            yield passing.frame, index - first
        if index == row.bucket_frames:
            return
        passing.advance()


def _shown(path: Path) -> Iterator[tuple[VideoFrame, float]]:
    """Yield every frame with the time until which it is on screen, in seconds after the first frame's beginning."""
    with _decoding(path), av.open(f"file:{path}", options=OPEN_OPTIONS) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        first = begin = 0.0
        previous: VideoFrame | None = None
        for frame in _before_damage(container, stream):
            if frame.pts is None:
                raise _damaged(path, "a frame without a timestamp")
            begin = frame.time
            if previous is None:
                first = begin
            else:
                yield previous, begin - first
            if frame.is_corrupt:  # what comes before it is whole
                raise _damaged(path, "a damaged frame")
            previous = frame
        if previous is not None:
            yield previous, begin - first + _duration(previous, stream)


def _before_damage(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield frames up to the first damaged packet: the decoder would fail at it with frames still in its hands."""
    begun = ended = False
    for packet in container.demux(stream):
        begun = begun or (packet.is_keyframe and not packet.is_corrupt)
        ended = ended or (packet.is_corrupt and begun)
        if ended and packet.size:  # the last packet is empty, and takes from the decoder what it still has
            continue
        yield from packet.decode()


def _damaged(path: Path, fault: str) -> MediaError:
    return MediaError(f"{path} has {fault}; repair or remove the file and plan anew with `recipe plan RECIPE`")


def _duration(frame: VideoFrame, stream: VideoStream) -> float:
    """Return how many seconds a frame is shown: as the file says, else as its frame rate implies."""
    if frame.duration and frame.time_base is not None:
        return float(frame.duration * frame.time_base)
    return 1 / float(stream.average_rate or stream.guessed_rate or 25)


def _upright(frame: VideoFrame) -> NDArray[np.uint8]:
    """Return a frame as (height, width, 3), RGB, turned as its file says it is to be shown."""
    picture = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    return np.rot90(picture, k=round(frame.rotation / 90) % 4)


def _fit(picture: NDArray[np.uint8], row: Place) -> Tensor:
    """Resize a frame to cover its bucket and crop it, rounding once at the end."""
    frame = torch.from_numpy(np.ascontiguousarray(picture))
    if frame.shape[:2] != (row.resize_height, row.resize_width):
        planes = frame.permute(2, 0, 1).unsqueeze(0).float()
        size = (row.resize_height, row.resize_width)
        planes = functional.interpolate(planes, size=size, mode="bicubic", antialias=True, align_corners=False)
        frame = planes[0].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
    bottom, right = row.crop_top + row.bucket_height, row.crop_left + row.bucket_width
    return frame[row.crop_top : bottom, row.crop_left : right]
