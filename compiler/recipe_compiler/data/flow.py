"""How much moves in a clip: the mean optical flow between frames half a second apart. The one module that needs OpenCV."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from recipe_schema.video import OPEN_OPTIONS, SAME_TIME


FLOW_VERSION = 1
"""Raised whenever the same clip and window get another score."""

_LONG, _SHORT = 576, 320
"""Pixels of the frames that are compared."""

_APART_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The frames of a clip that are trained.

    Attributes:
        begin: Time of the first, in seconds after the clip's first frame.
        spacing: Seconds from one to the next in the source.
        frames: How many there are.
        framerate: How many a second of training has.
    """

    begin: float
    spacing: float
    frames: int
    framerate: float


class FlowError(Exception):
    """The motion of a clip can't be measured."""


def motion_of(path: Path, window: Window) -> float:
    """Measure how much moves in a clip, as a mean of |u| and |v| over all pixels and pairs of frames.

    Frames are half a second of training apart, turned to landscape, gray, and 576x320 in size. The flow is OpenCV's DIS at its
    medium preset. A window that is shorter counts as if it went on: its flow is scaled to half a second.

    Returns:
        Pixels in half a second; 0 for a single frame.

    Raises:
        FlowError: The clip can't be decoded.
    """
    if window.frames == 1:
        return 0.0
    cv2.setNumThreads(1)
    stride = max(min(round(_APART_SECONDS * window.framerate), window.frames - 1), 1)
    times = [window.begin + index * window.spacing for index in range(0, window.frames, stride)]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    try:
        pictures = [_small(picture) for picture in _shown_at(path, times)]
    except (av.FFmpegError, OSError) as error:
        raise FlowError(f"can't be decoded ({error.strerror})") from None
    if len(pictures) < len(times):
        raise FlowError("has no frame that decodes")
    # The stubs want a flow to begin with, and with zeros it is another and takes twice as long.
    flows = (flow.calc(one, other, None) for one, other in pairwise(pictures))  # type: ignore[call-overload]
    means = [float(np.abs(each).mean()) for each in flows]
    return sum(means) / len(means) * _APART_SECONDS * window.framerate / stride


def _shown_at(path: Path, times: Sequence[float]) -> Iterator[NDArray[np.uint8]]:
    """Yield the frame on the screen at each time, gray, of shape (height, width)."""
    left = list(reversed(times))
    with av.open(f"file:{path}", options=OPEN_OPTIONS) as container:
        before: av.VideoFrame | None = None
        first = 0.0
        for frame in container.decode(container.streams.video[0]):
            if frame.pts is None:
                raise FlowError("has a frame without a timestamp")
            if before is None:
                first, before = frame.time, frame
            while left and left[-1] + SAME_TIME < frame.time - first:
                left.pop()
                yield _gray(before)
            if not left:
                return
            if frame.is_corrupt:
                raise FlowError("has a damaged frame")
            before = frame
        while before is not None and left:
            left.pop()
            yield _gray(before)


def _gray(frame: av.VideoFrame) -> NDArray[np.uint8]:
    return frame.to_ndarray(format="gray").astype(np.uint8, copy=False)


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn a frame to landscape, and make all of one size."""
    height, width = picture.shape
    level = np.ascontiguousarray(picture.T) if height > width else picture
    return cv2.resize(level, (_LONG, _SHORT), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
