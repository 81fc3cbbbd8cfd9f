"""A clip as the plan says: decoded, resampled by timestamps, turned upright, resized and cropped."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

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
from recipe_schema.video import OPEN_OPTIONS, PICTURE_OPTIONS, SAME_TIME


DECODE_VERSION = 1
"""Raised whenever the same file and plan give other pixels. It is part of the key of latents."""


def read_clip(path: Path, row: ClipRow) -> Tensor:
    """Decode the training sample of a clip.

    Sample i is the frame on screen at ``start_seconds + i / framerate``, counted from the first frame. With a
    framerate of 0, samples are frames as they follow each other, whatever their timestamps are. A frame is
    resized with torch's antialiased bicubic filter, in fp32: swscale's filters differ between builds and
    processors, and this value enters a content-addressed store.

    Args:
        path: The file.
        row: What the plan says of it.

    Returns:
        Frames of shape (frames, height, width, 3), uint8, RGB.

    Raises:
        MediaError: The file can't be decoded, or ends too early.
    """
    frames = torch.empty((row.bucket_frames, row.bucket_height, row.bucket_width, 3), dtype=torch.uint8)
    count = 0
    try:
        for frame, samples in _sampled(path, row):
            frames[count : count + samples] = _fit(_upright(frame), row)
            count += samples
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise MediaError(
            f"{path} can't be decoded: {error}; repair or remove the file and plan anew with `recipe plan RECIPE`"
        ) from error
    if count < row.bucket_frames:
        rate = f" at {row.framerate:g} fps" if row.framerate else ""
        raise MediaError(
            f"{path} ends after {count} of {row.bucket_frames} frames{rate}; repair or remove the "
            "file and plan anew with `recipe plan RECIPE`"
        )
    return frames


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
    try:
        with av.open(f"file:{path}", options=PICTURE_OPTIONS) as container:
            return _fit(_upright(next(container.decode(video=0))), row)[None]
    except (av.error.FFmpegError, OSError, StopIteration) as error:
        raise MediaError(
            f"{path} can't be decoded: {error}; repair or remove the file and plan anew with `recipe plan RECIPE`"
        ) from error


def to_pixels(frames: Tensor) -> Tensor:
    """Turn frames (frames, height, width, 3), uint8, into pixels (3, frames, height, width), fp32, -1 to 1."""
    return frames.permute(3, 0, 1, 2).float() / 127.5 - 1.0


def _sampled(path: Path, row: ClipRow) -> Iterator[tuple[VideoFrame, int]]:
    """Yield every frame that is needed, with the number of samples that it is on screen for."""
    if not row.framerate:
        first = round(row.start_seconds * row.fps)
        yield from ((frame, 1) for frame, _ in islice(_shown(path), first, first + row.bucket_frames))
        return
    index = 0
    for frame, until in _shown(path):
        first = index
        while index < row.bucket_frames and row.start_seconds + index / row.framerate + SAME_TIME < until:
            index += 1
        if index > first:
            yield frame, index - first
        if index == row.bucket_frames:
            return


def _shown(path: Path) -> Iterator[tuple[VideoFrame, float]]:
    """Yield every frame with the time until which it is on screen, in seconds after the first frame's beginning."""
    with av.open(f"file:{path}", options=OPEN_OPTIONS) as container:
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


def _fit(picture: NDArray[np.uint8], row: ClipRow) -> Tensor:
    """Resize a frame to cover its bucket and crop it, rounding once at the end."""
    frame = torch.from_numpy(np.ascontiguousarray(picture))
    if frame.shape[:2] != (row.resize_height, row.resize_width):
        planes = frame.permute(2, 0, 1).unsqueeze(0).float()
        size = (row.resize_height, row.resize_width)
        planes = functional.interpolate(planes, size=size, mode="bicubic", antialias=True, align_corners=False)
        frame = planes[0].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
    bottom, right = row.crop_top + row.bucket_height, row.crop_left + row.bucket_width
    return frame[row.crop_top : bottom, row.crop_left : right]
