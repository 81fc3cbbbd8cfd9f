"""What one video or picture says of itself. The only module here that opens them."""

import hashlib
import math
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from recipe_schema.orientation import SIDEWAYS, orientation
from recipe_schema.video import OPEN_OPTIONS, PICTURE_OPTIONS, PICTURE_SUFFIXES, is_picture, picture_format


VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".3gp", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"}
    | {".wmv", ".flv", ".ogv"}
)
"""Files with these endings count as clips."""

MASK_SUFFIXES = VIDEO_SUFFIXES | PICTURE_SUFFIXES
"""Files with these endings count as masks."""


def suffixes(dataset_type: str) -> frozenset[str]:
    """Return the endings of what a data set of clips or images takes."""
    return PICTURE_SUFFIXES if dataset_type == "image" else VIDEO_SUFFIXES


_STRICT = {"err_detect": "explode"}
"""A decoder hides damage as well as it can, unless it is told to give up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The facts of one file.

    Attributes:
        problem: Why it can't be used; empty if it can. The other facts are then incomplete.
        sha256: Of its bytes, hexadecimal.
        codec: As FFmpeg names it.
        audio: The codec of its sound; empty if there is none.
        rotation: Degrees by which it is to be turned counterclockwise: -90, 90 or 180.
        width: As shown: rotated, and with square pixels.
        height: As shown.
        fps: Mean frame rate; 0 for a picture.
        lowest_fps: Where the rate varies, that of the frame that is longest on the screen; else 0.
        highest_fps: Where the rate varies, that of the shortest; else 0.
        frames: Number of frames.
        seconds: From the first frame to the end of the last; 0 for a picture.
        damaged: The file goes on, damaged: frames and seconds are what comes before.
    """

    problem: str = ""
    sha256: str = ""
    codec: str = ""
    audio: str = ""
    rotation: int = 0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    lowest_fps: float = 0.0
    highest_fps: float = 0.0
    frames: int = 0
    seconds: float = 0.0
    damaged: bool = False


def probe(path: Path) -> Probe:
    """Read a file's headers and packet times, decode its first frame, and hash its bytes."""
    try:
        sha256 = _sha256(path)
    except OSError as error:
        return Probe(problem=f"can't be read: {error.strerror}")
    if path.stat().st_size == 0:
        return Probe(problem="is empty", sha256=sha256)
    if is_picture(path):
        return _picture(path, sha256)
    try:
        with av.open(f"file:{path}", options=OPEN_OPTIONS) as container:
            return _video(container, sha256)
    except av.FFmpegError as error:
        return Probe(problem=f"is no readable video ({error.strerror})", sha256=sha256)


def _picture(path: Path, sha256: str) -> Probe:
    try:
        with av.open(f"file:{path}", format=picture_format(path), options=PICTURE_OPTIONS) as container:
            stream = container.streams.video[0]
            stream.codec_context.options = _STRICT
            frame = next(container.decode(stream), None)
            codec = stream.codec_context.name
    except (av.FFmpegError, ValueError) as error:
        reason = error.strerror if isinstance(error, av.FFmpegError) else error
        return Probe(problem=f"is no readable picture ({reason})", sha256=sha256)
    if frame is None or (codec == "mjpeg" and not _has_an_end(path)):
        return Probe(problem="is no readable picture (it ends too early)", sha256=sha256)
    sides = (frame.height, frame.width) if orientation(path) in SIDEWAYS else (frame.width, frame.height)
    return Probe(sha256=sha256, codec=codec, width=sides[0], height=sides[1], frames=1)


def _has_an_end(path: Path) -> bool:
    """Say whether a JPEG file has the mark of its end. A decoder fills up what is missing of a progressive one."""
    content = path.read_bytes()
    return content.find(b"\xff\xd9", content.find(b"\xff\xda")) >= 0


def _sha256(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def _video(container: InputContainer, sha256: str) -> Probe:
    if not container.streams.video:
        return Probe(problem="has no video, only sound", sha256=sha256)
    stream = container.streams.video[0]
    times, damage = _packet_times(container, stream)
    if not times:
        return Probe(problem="has no frames", sha256=sha256)
    if container.format.name in _ENDS_ANYWHERE:
        damage += _damaged_at_the_end(container, stream)
    container.seek(0)
    frame = next(iter(container.decode(stream)), None)
    if frame is None:
        return Probe(problem="has no frame that decodes", sha256=sha256)
    start = times[0][0] if frame.pts is None else frame.pts  # a cut may begin with frames that need others, now gone
    times = [(time, duration) for time, duration in times if time >= start] or times
    whole = [
        (time, duration) for time, duration in times if time < min((d for d in damage if d >= start), default=math.inf)
    ]
    if not whole:
        return Probe(problem="has no frame that is whole", sha256=sha256)
    damaged, times = len(whole) < len(times), whole
    seconds = _seconds(times, stream)
    width, height = frame.width, frame.height
    if stream.sample_aspect_ratio:  # pixels that are not square
        width = max(round(width * float(stream.sample_aspect_ratio)), 1)
    if abs(frame.rotation) % 180 == 90:  # noqa: PLR2004 - a quarter turn
        width, height = height, width
    lowest, highest = _varying_rate(times, stream)
    return Probe(
        sha256=sha256,
        codec=stream.codec_context.name,
        audio=container.streams.audio[0].codec_context.name if container.streams.audio else "",
        rotation=frame.rotation,
        width=width,
        height=height,
        fps=len(times) / seconds,
        lowest_fps=lowest,
        highest_fps=highest,
        frames=len(times),
        seconds=seconds,
        damaged=damaged,
    )


_ENDS_ANYWHERE = ("mpegts", "mpeg", "mpegvideo")
"""Formats in which only a decoder notices that the last frame is cut off."""

_TAIL_SECONDS = 2
"""How far before the end a decoder starts at the latest key frame."""


def _damaged_at_the_end(container: InputContainer, stream: VideoStream) -> list[int]:
    """Return the times of damaged frames among the last ones."""
    base = stream.time_base or 1
    last = (stream.start_time or 0) + (stream.duration or 0)
    container.seek(max(int(last - _TAIL_SECONDS / base), 0), stream=stream)
    found: list[int] = []
    with suppress(av.FFmpegError):  # what does not decode at all gives no frames, and is not waited for
        found.extend(frame.pts for frame in container.decode(stream) if frame.is_corrupt and frame.pts is not None)
    return found


def _packet_times(container: InputContainer, stream: VideoStream) -> tuple[list[tuple[int, int]], list[int]]:
    """Return time and duration of every packet, and the times of damaged ones. Headers often lie about the number of frames."""
    times, damage = [], []
    for packet in container.demux(stream):
        time = packet.pts if packet.pts is not None else packet.dts
        if packet.size and time is not None and not packet.is_discard:
            times.append((time, packet.duration or 0))
            if packet.is_corrupt:
                damage.append(time)
    return sorted(times), damage


_UNEVEN = 1.25
"""How much longer than the shortest the longest frame has to be, so that the frame rate varies."""


def _varying_rate(times: list[tuple[int, int]], stream: VideoStream) -> tuple[float, float]:
    """Return the lowest and the highest frame rate; zeros where all frames last alike, but for rounding."""
    gaps = [after - before for (before, _), (after, _) in pairwise(times) if after > before]
    if not gaps or max(gaps) <= max(min(gaps) * _UNEVEN, min(gaps) + 2):  # times are whole numbers of ticks
        return 0.0, 0.0
    base = float(stream.time_base or 1)
    return 1 / (max(gaps) * base), 1 / (min(gaps) * base)


def _seconds(times: list[tuple[int, int]], stream: VideoStream) -> float:
    """Return the time from the first frame to the end of the last."""
    base = float(stream.time_base or 1)
    (first, _), (last, duration) = times[0], times[-1]
    if duration <= 0:
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        duration = max(round(1 / rate / base), 1)
    return (last + duration - first) * base
