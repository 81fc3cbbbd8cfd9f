"""Writes H.264 clips, and cuts them out of other videos."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from recipe_compiler.fetch.errors import FetchError


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is cut out of a video.

    Attributes:
        first: First frame, counted from 0.
        frames: How many frames.
        left: First column, in pixels of the source.
        top: First row, in pixels of the source.
        width: Columns.
        height: Rows.
        out_width: Width of the clip in pixels, even.
        out_height: Height of the clip in pixels, even.
    """

    first: int
    frames: int
    left: int
    top: int
    width: int
    height: int
    out_width: int
    out_height: int


def write_clip(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction) -> int:
    """Encode frames as H.264 in an MP4 file.

    Args:
        path: The file to write.
        frames: All of one size, with even sides.
        rate: Frames per second.

    Returns:
        The number of frames.
    """
    count = 0
    # One thread and no macroblock tree: otherwise x264 gives other bits on other machines, and from time to time.
    options = {"crf": "18", "preset": "veryfast", "threads": "1", "mbtree": "0"}
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            if count == 0:
                stream.width, stream.height = frame.width, frame.height
            frame.pts, frame.time_base = count, 1 / rate
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode(None))
    return count


def cut_clip(video: bytes, window: Window, path: Path) -> None:
    """Cut a window out of a video, scale it and write it as a clip of the same frame rate.

    Args:
        video: A whole file, in any container.
        window: Frames and pixels to take.
        path: The clip to write.

    Raises:
        FetchError: The video has fewer frames than the window.
    """
    with av.open(io.BytesIO(video), "r") as source:
        stream = source.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        assert rate is not None, "the videos of the catalog are known by their hashes, and state a frame rate"
        count = write_clip(path, _frames(source, stream, window), rate)
    if count != window.frames:
        raise FetchError(
            f"{path.name} got {count} frames and {window.frames} were expected: "
            "the video that it is cut out of is shorter than it was; please report this"
        )


def _frames(source: av.container.InputContainer, stream: av.VideoStream, window: Window) -> Iterator[av.VideoFrame]:
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(template=stream, time_base=stream.time_base),
        graph.add("crop", f"{window.width}:{window.height}:{window.left}:{window.top}"),
        graph.add("scale", f"{window.out_width}:{window.out_height}:flags=lanczos"),
        graph.add("buffersink"),
    ).configure()
    for index, frame in enumerate(source.decode(stream)):
        if index >= window.first + window.frames:
            return
        if index >= window.first:
            graph.vpush(frame)
            yield graph.vpull()
