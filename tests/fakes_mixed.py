"""A folder of 60 files as people have them: good clips, and every fault that a clip can have."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from fakes_clips import make_clip
from fakes_masks import write_png


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of file.

    Attributes:
        name: What it is called in the folder, before its number.
        count: How many there are.
        write: Writes one, at a path without ending and with a number of its own; returns the file.
        fate: What has to become of it.
        reason: What the reason has to begin with.
        caption: What its caption file holds; None for no file.
    """

    name: str
    count: int
    write: Callable[[Path, int], Path]
    fate: str = "trained"
    reason: str = ""
    caption: bytes | None = b"a bar that moves"


def _plain(ending: str, **keys: object) -> Callable[[Path, int], Path]:
    return lambda place, number: make_clip(_named(place, ending), **{"frames": 12 + number, **keys})


def _named(place: Path, ending: str) -> Path:
    return place.with_name(f"{place.name}.{ending}")


def _bytes(content: bytes) -> Callable[[Path, int], Path]:
    def write(place: Path, _: int) -> Path:
        path = _named(place, "mp4")
        path.write_bytes(content)
        return path

    return write


def _cut(ending: str, share: float) -> Callable[[Path, int], Path]:
    def write(place: Path, number: int) -> Path:
        path = make_clip(_named(place, ending), frames=40 + number, gop=5)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        return path

    return write


def _noise(ending: str, share: float, codec: str) -> Callable[[Path, int], Path]:
    """Write a part of a clip. The header of an mp4 comes first, and speaks of frames that are cut off."""

    def write(place: Path, number: int) -> Path:
        path, drawn = _named(place, ending), np.random.default_rng(number)
        with av.open(str(path), "w", options={"movflags": "faststart"} if ending == "mp4" else {}) as container:
            stream = container.add_stream(codec, rate=16)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            for _ in range(30):
                image = drawn.integers(0, 255, (64, 96, 3), dtype=np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        return path

    return write


def _encoded(
    ending: str, codec: str, pixels: str, *, size: tuple[int, int] = (96, 64), times: tuple[int, ...] = tuple(range(14))
) -> Callable[[Path, int], Path]:
    """Write frames that are shown at these times, in sixteenths of a second."""

    def write(place: Path, number: int) -> Path:
        path = _named(place, ending)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=16)
            stream.width, stream.height, stream.pix_fmt = *size, pixels
            stream.codec_context.time_base = Fraction(1, 16)
            for time in times:
                image = np.full((size[1], size[0], 3), 40 + number, np.uint8)
                image[:, time % size[0] :][:, :8] = 220
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = time, Fraction(1, 16)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


def _sound(place: Path, number: int) -> Path:
    path = _named(place, "mp4")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        samples = np.full((1, 1024), 0.01 * number, np.float32)
        sound = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return path


def _picture(place: Path, number: int) -> Path:
    write_png(_named(place, "mp4"), np.full((64, 96, 3), number, np.uint8))
    return _named(place, "mp4")


def _mkv_as_mp4(place: Path, number: int) -> Path:
    return make_clip(_named(place, "mkv"), frames=12 + number).rename(_named(place, "mp4"))


def _turned(place: Path, number: int) -> Path:
    """Write a clip that its header turns by 90 degrees (ISO 14496-12, 8.3.2: the matrix of the box `tkhd`)."""
    path = make_clip(_named(place, "mp4"), frames=12 + number)
    content, one = bytearray(path.read_bytes()), 1 << 16
    struct.pack_into(">9i", content, content.index(b"tkhd") + 44, 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def _looping(place: Path, _: int) -> Path:
    path = _named(place, "mp4")
    path.symlink_to(path.name)
    return path


_UNREADABLE = {"fate": "quarantined", "reason": "is no readable video"}

KINDS: tuple[Kind, ...] = (
    Kind(name="good", count=6, write=_plain("mp4")),
    Kind(name="good-mkv", count=2, write=_plain("mkv")),
    Kind(name="good-vp9", count=2, write=_encoded("webm", "libvpx-vp9", "yuv420p")),
    Kind(name="good-mpeg4", count=2, write=_encoded("avi", "mpeg4", "yuv420p")),
    Kind(name="ünï-片", count=2, write=_plain("mp4")),
    Kind(name="long-" + "n" * 240, count=2, write=_plain("mp4")),
    Kind(name="twin", count=3, write=lambda place, _: make_clip(_named(place, "mp4"), frames=30)),
    Kind(name="turned", count=2, write=_turned),
    Kind(name="uneven", count=2, write=_encoded("mp4", "libx264", "yuv420p", times=(0, 1, 2, 8, 9, 10, 11, 12))),
    Kind(name="odd-size", count=2, write=_encoded("mp4", "libx264", "yuv444p", size=(99, 67))),
    Kind(name="ten-bit", count=2, write=_encoded("mp4", "libx264", "yuv420p10le")),
    Kind(name="other-ending", count=2, write=_mkv_as_mp4),
    Kind(name="cut-early", count=2, write=_cut("mp4", 0.05), **_UNREADABLE),
    Kind(name="cut-late", count=2, write=_cut("mp4", 0.7), **_UNREADABLE),
    Kind(name="cut-mkv", count=1, write=_cut("mkv", 0.45), fate="filtered", reason="too short"),
    Kind(name="cut-fast", count=1, write=_noise("mp4", 0.2, "libx264"), fate="filtered", reason="too short"),
    Kind(name="cut-ts", count=1, write=_noise("ts", 0.7, "libx264")),
    Kind(
        name="cut-first",
        count=1,
        write=_noise("mp4", 0.03, "mpeg4"),
        fate="quarantined",
        reason="has no frame that is whole",
    ),
    Kind(name="empty", count=2, write=_bytes(b""), fate="quarantined", reason="is empty"),
    Kind(name="sound", count=2, write=_sound, fate="quarantined", reason="has no video, only sound"),
    Kind(name="picture", count=2, write=_picture, **_UNREADABLE),
    Kind(name="text", count=2, write=_bytes(b"this is no video at all, " * 9), **_UNREADABLE),
    Kind(name="one-frame", count=2, write=_plain("mp4", frames=1), fate="filtered", reason="too short"),
    Kind(name="short", count=4, write=_plain("mp4", frames=5), fate="filtered", reason="too short"),
    Kind(name="small", count=2, write=_plain("mp4", size=(32, 32)), fate="filtered", reason="too small"),
    Kind(name="uncaptioned", count=2, write=_plain("mp4"), caption=None, fate="missing-caption", reason="`"),
    Kind(name="no-words", count=2, write=_plain("mp4"), caption=b" \n\n", fate="missing-caption", reason="`"),
    Kind(name="no-text", count=1, write=_plain("mp4"), caption=b"caf\xe9", fate="missing-caption", reason="`"),
    Kind(name="loop", count=1, write=_looping, fate="quarantined", reason="can't be read: "),
    Kind(
        name="nowhere", count=1, write=lambda place, _: _dangling(place), fate="quarantined", reason="can't be read: "
    ),
)


def _dangling(place: Path) -> Path:
    _named(place, "mp4").symlink_to("gone.mp4")
    return _named(place, "mp4")


def make_mixed(folder: Path) -> dict[str, Kind]:
    """Write all kinds into a folder with a folder in it, and a circle of links. Returns the kind of each file."""
    made: dict[str, Kind] = {}
    (folder / "sub").mkdir(parents=True)
    for kind in KINDS:
        for number in range(kind.count):
            home = folder / "sub" if number % 2 else folder
            path = kind.write(home / f"{kind.name}{number}", number)
            if kind.caption is not None:
                own = f", {kind.name[:20]} {number}" if kind.name != "twin" else ""
                path.with_suffix(".txt").write_bytes(kind.caption + own.encode())
            if kind.name == "no-words":
                path.with_suffix(".txt").write_bytes(b" \n\n")
            made[path.relative_to(folder).as_posix()] = kind
    (folder / "sub" / "circle").symlink_to(folder)
    (folder / "notes.md").write_text("no clip, and not counted")
    (folder / ".hidden.mp4").write_bytes(b"nor is this")
    return made
