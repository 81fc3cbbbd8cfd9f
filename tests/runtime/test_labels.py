from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from fakes_masks import write_png
from fakes_runtime import CLIPS, make_context
from fakes_training import StopAfter, encoded_project, same_bits, saved_parts
from recipe_runtime import train
from recipe_runtime.errors import MediaError, StoppedBySignal
from recipe_runtime.labels import _shares, weigh_labels, weight_map
from recipe_runtime.masks import check_masks, mask_index, read_mask
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Warned
from recipe_schema.ledger import ClipRow


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
PACKING = {"temporal": 4, "spatial": 8}
ROW = ClipRow(
    dataset="d",
    path="a.mp4",
    fate="trained",
    fps=16.0,
    framerate=16.0,
    bucket_width=16,
    bucket_height=16,
    bucket_frames=9,
    resize_width=32,
    resize_height=24,
    crop_left=8,
    crop_top=4,
)


def stripes(*colors, height=24, each=8):
    return np.concatenate([np.full((height, each, 3), color, np.uint8) for color in colors], axis=1)


def write_labels(path, frames, fps=16):
    """Write a video in a codec that keeps every colour."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_labels_are_colours_or_gray_values_and_others_weigh_nothing():
    picture = stripes(RED, (2, 2, 2), GREEN, (0, 0, 0), each=1, height=1)

    assert weight_map(picture, {"#ff0000": 0.25, "2": 1.0}).tolist() == [[0.25, 1.0, 0.0, 0.0]]
    assert weight_map(picture, {"#FF0000": 0.25, "0": 0.5}).tolist() == [[0.25, 0.0, 0.0, 0.5]]
    assert weight_map(picture, {}).tolist() == [[1.0, 1.0, 1.0, 0.0]]


def test_a_place_has_the_mean_weight_of_its_area_after_resizing_and_cropping(tmp_path):
    path = write_png(tmp_path / "a.png", stripes(RED, GREEN, BLUE, (9, 9, 9)))
    weights = {"#ff0000": 0.8, "#00ff00": 0.2, "#0000ff": 1.0}

    found = weigh_labels(path, ROW, weights, **PACKING)  # the crop takes columns 8 to 24: green, then blue
    half = weigh_labels(path, replace(ROW, crop_left=4), weights, **PACKING)  # and here half of each neighbour
    small = write_png(tmp_path / "small.png", stripes(RED, GREEN, BLUE, (9, 9, 9), height=12, each=4))

    assert torch.allclose(found, torch.tensor([[[0.2, 1.0], [0.2, 1.0]]]))
    assert torch.allclose(half, torch.tensor([[[0.5, 0.6], [0.5, 0.6]]]))
    assert torch.equal(weigh_labels(small, ROW, weights, **PACKING), found)


def test_pixels_at_the_rim_of_a_place_count_in_part():
    shares = _shares(5, 5 / 4, 1, 1, 2)  # a crop of pixels 1 to 3 of 4: pixels 1.25 to 3.75 of 5

    assert shares.tolist() == [pytest.approx([0, 0.75 / 2.5, 1 / 2.5, 0.75 / 2.5, 0])]
    assert _shares(7, 7 / 24, 3, 2, 8).sum(axis=1).tolist() == pytest.approx([1.0, 1.0])


def test_what_counts_everywhere_is_exactly_one(tmp_path):
    path = write_png(tmp_path / "a.png", np.full((73, 101, 3), 7, np.uint8))
    odd = replace(ROW, resize_width=93, resize_height=65, crop_left=13, crop_top=9, bucket_width=64, bucket_height=48)

    assert torch.equal(weigh_labels(path, odd, {"7": 1.0}, **PACKING), torch.ones(1, 6, 8))


def test_frames_of_a_video_go_the_way_of_its_clip(tmp_path):
    frames = np.stack([np.full((24, 32, 3), index, np.uint8) for index in range(12)])
    path = write_labels(tmp_path / "a.mkv", frames)
    weights = {str(index): index / 20 for index in range(12)}

    found = weigh_labels(path, ROW, weights, **PACKING)
    later = weigh_labels(path, replace(ROW, start_seconds=3 / 16), weights, **PACKING)
    slow = weigh_labels(path, replace(ROW, framerate=8.0, bucket_frames=5), weights, **PACKING)

    assert found[:, 0, 0].tolist() == pytest.approx([0, 2.5 / 20, 6.5 / 20])
    assert later[:, 0, 0].tolist() == pytest.approx([3 / 20, 5.5 / 20, 9.5 / 20])
    assert slow[:, 0, 0].tolist() == pytest.approx([0, 5 / 20])
    with pytest.raises(MediaError, match="ends after 11 of 13 frames"):
        weigh_labels(path, replace(ROW, start_seconds=1 / 16, bucket_frames=13), weights, **PACKING)


SEGMENTED = {
    "regularizers.masked_loss.enabled": True,
    "data.datasets.0.conditioning_type": "segmentation",
    "prompts": (),
    "train.batch_size": 2,
}


def labelled(*colors):
    def draw(clip):
        width, height = clip.size
        return stripes(*colors, height=height, each=width // len(colors))

    return {clip.name: draw(clip) for clip in CLIPS}


def test_what_a_run_trains_with_is_stored_by_file_and_weights(tmp_path):
    keys = []
    for name, weights in {"none": {}, "red": {"#ff0000": 1.0}, "both": {"#ff0000": 1.0, "#00ff00": 0.5}}.items():
        chosen = SEGMENTED | {"data.datasets.0.label_weights": weights}
        _, ctx, _ = encoded_project(tmp_path / name, masks=labelled(RED, GREEN), **chosen)
        key = mask_index(ctx)[ctx.rows[0].clip_id]
        keys.append(key)
        mask = read_mask(ctx, key)
        assert [mask[0, 0, 0].item(), mask[0, 0, -1].item()] == [1.0, {"none": 1.0, "red": 0.0, "both": 0.5}[name]]
    gray = {**SEGMENTED, "data.datasets.0.conditioning_type": "mask"}
    _, ctx, _ = encoded_project(tmp_path / "gray", masks=labelled(RED, GREEN), **gray)

    assert len({*keys, mask_index(ctx)[ctx.rows[0].clip_id]}) == 4


@pytest.mark.parametrize(("background", "fails"), [(0.0, True), (0.5, False)])
def test_colours_that_nobody_named_are_told_of(tmp_path, background, fails):
    chosen = SEGMENTED | {"data.datasets.0.label_weights": {"#ff0001": 1.0}}
    _, ctx, events = encoded_project(
        tmp_path, masks=labelled(RED, GREEN), **chosen, **{"regularizers.masked_loss.background_weight": background}
    )

    if fails:
        with pytest.raises(MediaError, match="nothing to divide by"):
            check_masks(ctx)
    else:
        check_masks(ctx)
    told = [event.message for event in events.of(Warned)]
    assert len(told) == (0 if fails else 1)
    assert all(message.startswith("4 clips have no label that counts") for message in told)


def test_labels_that_all_count_change_no_bit(tmp_path):
    _, plain, _ = encoded_project(tmp_path / "plain", prompts=(), **{"train.batch_size": 2})
    _, whole, _ = encoded_project(tmp_path / "whole", masks=labelled(RED, GREEN), **SEGMENTED)
    for ctx in (plain, whole):
        train.run(ctx, StopRequested())

    assert same_bits(saved_parts(plain.run_dir, 4), saved_parts(whole.run_dir, 4))


def test_a_run_with_labels_resumes_bit_for_bit(tmp_path):
    chosen = SEGMENTED | {"data.datasets.0.label_weights": {"#ff0000": 1.0, "#00ff00": 0.3}}
    _, straight, _ = encoded_project(tmp_path / "straight", masks=labelled(RED, GREEN, BLUE), **chosen)
    train.run(straight, StopRequested())
    project, _, _ = encoded_project(tmp_path / "cut", masks=labelled(RED, GREEN, BLUE), **chosen)
    stop = StopAfter(2)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)

    train.run(make_context(project), StopRequested())

    assert same_bits(saved_parts(project.run_dir, 4), saved_parts(straight.run_dir, 4))
