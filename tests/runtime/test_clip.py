from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from fakes_runtime import write_video
from recipe_compiler.data.geometry import frames_at
from recipe_compiler.data.probe import probe
from recipe_runtime.clip import read_clip, to_pixels
from recipe_runtime.errors import MediaError
from recipe_schema.ledger import ClipRow


STEP = 8


def counting(frames, size=(64, 64)):
    """Frames that are plain gray, each `STEP` lighter than the one before."""
    levels = np.arange(frames, dtype=np.uint8) * STEP + 16
    return np.broadcast_to(levels[:, None, None, None], (frames, size[1], size[0], 3)).copy()


def row(**changes):
    plain = ClipRow(
        dataset="d",
        path="a.mp4",
        fate="trained",
        bucket_width=64,
        bucket_height=64,
        bucket_frames=9,
        framerate=16.0,
        resize_width=64,
        resize_height=64,
    )
    return replace(plain, **changes)


def seen(clip):
    """Which of the counted frames each sample is."""
    return [round((float(frame.float().mean()) - 16) / STEP) for frame in clip]


@pytest.mark.parametrize("fps", [8, 16, 24, 25, 30])
def test_a_sample_is_the_frame_on_screen_at_its_time(tmp_path, fps):
    write_video(tmp_path / "a.mp4", counting(28), fps)

    clip = read_clip(tmp_path / "a.mp4", row())

    assert seen(clip) == [int(index * fps / 16 + 1e-6) for index in range(9)]
    assert clip.shape == (9, 64, 64, 3)
    assert clip.dtype == torch.uint8


def test_the_window_starts_where_the_plan_says(tmp_path):
    write_video(tmp_path / "a.mp4", counting(24), 16)

    assert seen(read_clip(tmp_path / "a.mp4", row(start_seconds=0.5))) == list(range(8, 17))


@pytest.mark.parametrize("fps", [8, 30])
def test_frames_may_be_taken_as_they_follow_each_other(tmp_path, fps):
    write_video(tmp_path / "a.mp4", counting(24), fps)

    assert seen(read_clip(tmp_path / "a.mp4", row(framerate=0.0, fps=float(fps)))) == list(range(9))
    later = row(framerate=0.0, fps=float(fps), start_seconds=7 / fps)
    assert seen(read_clip(tmp_path / "a.mp4", later)) == list(range(7, 16))


def test_a_clip_whose_frames_follow_each_other_must_be_long_enough(tmp_path):
    write_video(tmp_path / "a.mp4", counting(12), 16)

    with pytest.raises(MediaError, match="ends after 8 of 9 frames; repair"):
        read_clip(tmp_path / "a.mp4", row(framerate=0.0, fps=16.0, start_seconds=4 / 16))


def test_a_webm_with_rounded_timestamps_loses_no_frame(tmp_path):
    path = tmp_path / "a.mkv"
    write_video(path, counting(12), 16)

    assert seen(read_clip(path, row())) == list(range(9))


def test_frames_of_uneven_length_are_sampled_by_time_and_not_by_number(tmp_path):
    times = [0, 1, 2, 8, 9, 10, 11, 12]
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=16, options={"crf": "10", "bf": "0"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 16)
        for picture, time in zip(counting(len(times)), times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 16)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())

    assert seen(read_clip(tmp_path / "a.mp4", row())) == [0, 1, 2, 2, 2, 2, 2, 2, 3]
    assert seen(read_clip(tmp_path / "a.mp4", row(framerate=0.0, fps=8 / 13 * 16, bucket_frames=5))) == [0, 1, 2, 3, 4]


def test_the_last_frame_is_shown_until_its_end_and_no_longer(tmp_path):
    write_video(tmp_path / "a.mp4", counting(5), 8)

    assert seen(read_clip(tmp_path / "a.mp4", row(bucket_frames=10))) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    with pytest.raises(MediaError, match=r"a.mp4 ends after 10 of 13 frames at 16 fps"):
        read_clip(tmp_path / "a.mp4", row(bucket_frames=13))


def test_a_clip_is_resized_then_cropped(tmp_path):
    picture = np.zeros((48, 96, 3), dtype=np.uint8)
    picture[:, 48:] = 255
    write_video(tmp_path / "a.mp4", np.repeat(picture[None], 10, axis=0), 16)

    clip = read_clip(
        tmp_path / "a.mp4", row(resize_width=128, resize_height=64, crop_left=48, crop_top=0, bucket_width=64)
    ).float()

    assert clip[:, :, :12].max() < 12
    assert clip[:, :, 20:].min() > 243


def test_a_phone_clip_is_turned_upright(tmp_path):
    picture = np.zeros((64, 96, 3), dtype=np.uint8)
    picture[:, 48:] = 255
    write_video(tmp_path / "a.mp4", np.repeat(picture[None], 10, axis=0), 16)
    content = bytearray((tmp_path / "a.mp4").read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    # The matrix of a quarter turn clockwise, in 16.16 fixed point: x' = -y, y' = x.
    turned = [0, 0x10000, 0, -0x10000, 0, 0, 64 << 16, 0, 0x40000000]
    content[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in turned)
    (tmp_path / "a.mp4").write_bytes(content)

    clip = read_clip(tmp_path / "a.mp4", row(resize_width=64, resize_height=96, bucket_height=96)).float()

    # What was left, black, is on top now.
    assert clip[:, :44].max() < 12
    assert clip[:, 52:].min() > 243


def test_a_truncated_file_is_named(tmp_path):
    rng = np.random.default_rng(0)
    write_video(tmp_path / "a.mp4", rng.integers(0, 255, (12, 64, 64, 3), dtype=np.uint8), 16)
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(content[: len(content) // 2])

    with pytest.raises(MediaError, match=r"a.mp4 can't be decoded.*plan anew"):
        read_clip(tmp_path / "a.mp4", row())


@pytest.mark.parametrize("content", [b"", b"no video", b"ffconcat version 1.0\nfile other.mp4\n"])
def test_a_file_that_is_no_video_is_named(tmp_path, content):
    write_video(tmp_path / "other.mp4", counting(12), 16)
    (tmp_path / "a.mp4").write_bytes(content)

    with pytest.raises(MediaError, match=r"a.mp4 can't be decoded"):
        read_clip(tmp_path / "a.mp4", row())


def test_a_file_without_pictures_is_named(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())

    with pytest.raises(MediaError, match=r"a.mp4 can't be decoded"):
        read_clip(tmp_path / "a.mp4", row())


def test_black_is_minus_one_and_white_is_one():
    frames = torch.zeros((2, 4, 6, 3), dtype=torch.uint8)
    frames[1] = 255

    pixels = to_pixels(frames)

    assert pixels.shape == (3, 2, 4, 6)
    assert torch.equal(pixels[:, 0], torch.full((3, 4, 6), -1.0))
    assert torch.equal(pixels[:, 1], torch.full((3, 4, 6), 1.0))


FORMS = {
    "fast.mp4": ("libx264", {"movflags": "faststart"}),
    "parts.mp4": ("libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "a.mkv": ("libx264", {}),
    "a.ts": ("libx264", {}),
    "a.avi": ("mpeg4", {}),
    "a.webm": ("libvpx-vp9", {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_wherever_a_file_is_cut_off_what_the_survey_counts_can_be_decoded(tmp_path, form):
    """The two sides read files on their own; a clip must not be planned with frames that encoding will not find."""
    codec, options = FORMS[form]
    path, drawn = tmp_path / form, np.random.default_rng(0)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=16)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.options = {"g": "10"}
        for _ in range(30):
            picture = drawn.integers(0, 255, (64, 96, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    whole = path.read_bytes()
    counts = set()
    for part in range(1, 26):
        path.write_bytes(whole[: len(whole) * part // 25])
        facts = probe(path)
        if facts.problem:
            continue
        frames = frames_at(facts.seconds, 16)
        counts.add(frames)
        clip = read_clip(path, row(bucket_frames=frames, resize_width=96, fps=facts.fps))
        assert clip.shape[0] == frames

    assert max(counts) == 30
    assert len(counts) > 8
