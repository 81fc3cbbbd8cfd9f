"""Video files as cameras and other tools write them."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from fakes_clips import make_clip
from fakes_mixed import make_mixed
from recipe_compiler.data.probe import probe


def write(path, codec="libx264", *, pixels="yuv420p", shape=None, flags=""):
    """Write ten gray frames of 96x64, one in 100 ms."""
    with av.open(str(path), "w", options={"movflags": flags} if flags else {}) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixels
        if shape is not None:
            stream.codec_context.sample_aspect_ratio = shape
        image = np.full((64, 96, 3), 40, np.uint8)
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_a_file_that_holds_only_sound_is_told_from_a_broken_one(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))

    assert probe(tmp_path / "a.mp4").problem == "has no video, only sound"


def test_a_recording_that_broke_off_before_its_first_frame_has_none(tmp_path):
    path = write(tmp_path / "a.mp4", flags="frag_keyframe+empty_moov")
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moof") - 4])

    assert probe(path).problem == "has no frames"


def test_frames_that_all_need_one_that_is_gone_do_not_decode(tmp_path):
    whole, cut = make_clip(tmp_path / "whole.mp4", frames=30, gop=10), tmp_path / "cut.mp4"
    with av.open(str(whole)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(source.streams.video[0]) if packet.dts is not None]
        for packet in packets[13:19]:  # between two key frames
            packet.stream = stream
            target.mux(packet)

    assert probe(cut).problem == "has no frame that decodes"


def test_pixels_that_are_not_square_make_the_picture_wider(tmp_path):
    facts = probe(write(tmp_path / "a.mp4", shape=Fraction(2, 1)))

    assert (facts.width, facts.height) == (192, 64)


def test_a_phone_that_was_held_upright_gives_an_upright_picture(tmp_path):
    path = write(tmp_path / "a.mp4")
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # ISO 14496-12, 8.3.2: of the box `tkhd`, version 0
    one = 1 << 16
    assert struct.unpack_from(">9i", content, matrix) == (one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", content, matrix, 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)

    facts = probe(path)

    assert (facts.width, facts.height, abs(facts.rotation)) == (64, 96, 90)
    assert probe(write(tmp_path / "b.mp4")).rotation == 0


def test_where_frames_state_no_duration_the_last_one_takes_as_long_as_others_do(tmp_path):
    path = write(tmp_path / "a.mkv", "mjpeg", pixels="yuvj420p")
    content = path.read_bytes()
    start = content.index(bytes.fromhex("23e383"))  # Matroska's DefaultDuration, made an element that says nothing
    size = content[start + 3] & 0x7F
    path.write_bytes(content[:start] + bytes([0xEC, 0x82 + size, *bytes(size + 2)]) + content[start + 4 + size :])

    facts = probe(path)

    assert (facts.frames, facts.seconds, facts.fps) == (10, pytest.approx(1), pytest.approx(10))


def test_what_lies_behind_damage_does_not_count(tmp_path):
    made = make_mixed(tmp_path / "clips")
    facts = {path.partition(".")[0]: probe(tmp_path / "clips" / path) for path in made if path.startswith("cut-")}

    assert (facts["cut-fast0"].problem, facts["cut-fast0"].damaged, facts["cut-fast0"].frames) == ("", True, 5)
    assert facts["cut-first0"].problem == "has no frame that is whole"
    assert (facts["cut-ts0"].problem, facts["cut-ts0"].damaged) == ("", True)
    assert not facts["cut-mkv0"].damaged, "it ends between two frames"


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi"])
def test_a_rate_that_is_even_but_for_rounding_does_not_vary(tmp_path, ending):
    facts = probe(make_clip(tmp_path / f"a.{ending}", frames=30, fps=24))

    assert (facts.lowest_fps, facts.highest_fps) == (0, 0), "Matroska counts milliseconds, 41 or 42 a frame"


def test_a_rate_that_varies_is_told(tmp_path):
    made = make_mixed(tmp_path / "clips")
    (path, *_) = (path for path in made if path.startswith("uneven"))

    facts = probe(tmp_path / "clips" / path)

    assert (facts.lowest_fps, facts.highest_fps) == (pytest.approx(16 / 6), pytest.approx(16))


def test_sound_beside_the_picture_is_told(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        picture, sound = container.add_stream("mpeg4", rate=10), container.add_stream("aac", rate=16000)
        picture.width, picture.height, picture.pix_fmt = 96, 64, "yuv420p"
        image = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 40, np.uint8), format="rgb24")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        for stream, value in ((picture, image), (sound, frame)):
            container.mux(stream.encode(value))
            container.mux(stream.encode(None))

    facts = probe(tmp_path / "a.mkv")

    assert (facts.codec, facts.audio, facts.frames) == ("mpeg4", "aac", 1)
    assert probe(write(tmp_path / "b.mp4")).audio == ""
