from fractions import Fraction

import av
import numpy as np
import pytest

from fakes_runtime import draw_disc
from recipe_runtime.errors import MediaError
from recipe_runtime.video_file import read_note, write_mp4


FRAMES = draw_disc((96, 64), 9, (255, 40, 40))


def test_the_clip_has_the_frames_size_and_rate_it_was_given(tmp_path):
    path = tmp_path / "clip.mp4"

    write_mp4(path, FRAMES, fps=16.0, note="n")

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 16
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
    assert decoded.shape == FRAMES.shape
    assert np.abs(decoded.astype(int) - FRAMES.astype(int)).mean() < 6


def test_a_broken_rate_is_kept(tmp_path):
    write_mp4(tmp_path / "clip.mp4", FRAMES, fps=30000 / 1001, note="n")

    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)


def test_players_find_the_index_at_the_front(tmp_path):
    write_mp4(tmp_path / "clip.mp4", FRAMES, fps=16.0, note="n")

    content = (tmp_path / "clip.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_the_note_is_read_back(tmp_path):
    write_mp4(tmp_path / "clip.mp4", FRAMES, fps=16.0, note="sha256:0123")

    assert read_note(tmp_path / "clip.mp4") == "sha256:0123"


def test_what_is_no_clip_has_no_note(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"half a file")

    assert read_note(tmp_path / "clip.mp4") is None
    assert read_note(tmp_path / "missing.mp4") is None


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    with pytest.raises(MediaError, match=r"clip\.mp4 can't be written"):
        write_mp4(tmp_path / "clip.mp4", np.zeros((2, 63, 63, 3), np.uint8), fps=16.0, note="n")
    with pytest.raises(MediaError, match="can't be written"):
        write_mp4(tmp_path / "nowhere" / "clip.mp4", FRAMES, fps=16.0, note="n")

    assert list(tmp_path.iterdir()) == []


def test_the_same_frames_give_the_same_bytes(tmp_path):
    draw = np.random.default_rng(0)
    coarse = np.kron(draw.integers(60, 190, (9, 16, 28, 3)), np.ones((1, 8, 8, 1), np.int64))
    frames = (coarse + draw.integers(-40, 40, coarse.shape)).astype(np.uint8)
    path = tmp_path / "clip.mp4"
    contents, held = set(), []

    for index in range(8):
        held.append(bytes([index]) * draw.integers(1, 300_000))  # elsewhere in memory, where chance would show
        write_mp4(path, frames, fps=16.0, note="n")
        contents.add(path.read_bytes())

    assert len(contents) == 1
