"""Codecs: a few frames are encoded and decoded again."""

import io
import os
from collections.abc import Iterator, Mapping

import av
import numpy as np
from av.video.stream import VideoStream

from recipe_compiler.doctor.verdict import Verdict


_NEEDED = "h264"
_WRITERS: Mapping[str, str] = {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
"""The encoder that makes something to decode, by codec."""

_FRAMES, _SIDE = 5, 64

_QUIET: Mapping[str, Mapping[str, object]] = {"libx265": {"x265-params": "log-level=none"}}
_QUIET_AV1 = ("SVT_LOG", "1")
"""The one variable that its encoder takes its level of messages from: errors only."""


def look_at_codecs() -> Iterator[Verdict]:
    """Try every codec that clips usually have. h264 is what drawn clips are written in."""
    for codec, writer in _WRITERS.items():
        yield _look(codec, writer)


def _look(codec: str, writer: str) -> Verdict:
    cure = "pip install --force-reinstall --only-binary av av: the wheels bring their own FFmpeg"
    writes, reads = _has(writer, "w"), _has(codec, "r")
    if writes:
        try:
            back = round_trip(writer)
        except (av.FFmpegError, ValueError, OSError) as error:
            back, cause = 0, f": {error}"
        else:
            cause = f": {back} of {_FRAMES} frames came back"
        if back == _FRAMES:
            return Verdict(about="codecs", status="ok", text=f"{codec} is encoded and decoded")
        reads, writes = False, False
        text = f"{codec} is not decoded as it was encoded{cause}"
    else:
        text = f"{codec} is decoded, and not encoded" if reads else f"{codec} can't be decoded"
    if codec == _NEEDED:
        return Verdict(about="codecs", status="error", text=f"{text}: drawn clips are written in it", cure=cure)
    if reads:
        return Verdict(about="codecs", status="ok", text=text)
    return Verdict(about="codecs", status="warning", text=f"{text}: clips in it are left out", cure=cure)


def _has(name: str, mode: str) -> bool:
    try:
        av.codec.Codec(name, mode)  # type: ignore[arg-type]
    except ValueError:  # UnknownCodecError is one
        return False
    return True


def round_trip(writer: str) -> int:
    """Encode a few frames in memory, decode them, and return how many came back."""
    memory = io.BytesIO()
    os.environ.setdefault(*_QUIET_AV1)
    with av.open(memory, "w", format="matroska") as container:
        stream = container.add_stream(writer, rate=16)
        assert isinstance(stream, VideoStream), "the writer is one of video"
        stream.width, stream.height, stream.pix_fmt = _SIDE, _SIDE, "yuv420p"
        stream.options = dict(_QUIET.get(writer, {}))
        for index in range(_FRAMES):
            image = np.full((_SIDE, _SIDE, 3), 40 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    memory.seek(0)
    with av.open(memory, "r") as container:
        return len(list(container.decode(video=0)))
