"""How a picture becomes a clip of one frame."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from fakes_planned import PHOTOS, draw_data, encoded, plan_project
from recipe_runtime.clip import read_clip, read_picture
from recipe_runtime.encode_video import latent_index
from recipe_runtime.errors import MediaError
from recipe_schema.ledger import ClipRow


CORNERS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8)
"""Red, green, blue and yellow: (2, 2, 3)."""

UPRIGHT = CORNERS.repeat(16, axis=0).repeat(32, axis=1)

TURNS = {
    1: lambda shown: shown,
    2: lambda shown: shown[:, ::-1],
    3: lambda shown: shown[::-1, ::-1],
    4: lambda shown: shown[::-1],
    5: lambda shown: shown.swapaxes(0, 1),
    6: lambda shown: np.rot90(shown, 1),
    7: lambda shown: shown[::-1, ::-1].swapaxes(0, 1),
    8: lambda shown: np.rot90(shown, -1),
}
"""What a camera stores of what is shown, by EXIF orientation (CIPA DC-008, 4.6.4)."""


def row(width=64, height=32):
    return ClipRow(
        dataset="d",
        path="a.png",
        fate="trained",
        bucket_width=width,
        bucket_height=height,
        bucket_frames=1,
        resize_width=width,
        resize_height=height,
    )


@pytest.mark.parametrize("stated", TURNS)
@pytest.mark.parametrize("ending", ["png", "webp"])
def test_a_picture_is_turned_as_its_file_says(tmp_path, stated, ending):
    exif = Image.Exif()
    exif[274] = stated
    stored = Image.fromarray(np.ascontiguousarray(TURNS[stated](UPRIGHT)))
    path = tmp_path / f"a.{ending}"
    stored.save(path, exif=exif, **({"lossless": True} if ending == "webp" else {}))

    assert torch.equal(read_clip(path, row())[0], torch.from_numpy(UPRIGHT))
    assert torch.equal(read_picture(path, row())[0], torch.from_numpy(UPRIGHT))


def shown(path):
    return read_clip(path, row())[0].numpy()


def test_transparent_places_are_white(tmp_path):
    alpha = np.full((32, 64, 1), 128, np.uint8)
    alpha[:16] = 0
    Image.fromarray(np.concatenate([UPRIGHT, alpha], axis=2)).save(tmp_path / "a.png")

    over = (UPRIGHT.astype(float) * alpha + 255.0 * (255.0 - alpha)) / 255
    assert np.abs(shown(tmp_path / "a.png") - over).max() <= 0.5
    assert (shown(tmp_path / "a.png")[:16] == 255).all()


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    gray = (np.arange(32 * 64) * 31).reshape(32, 64).astype(np.uint16)
    Image.fromarray(gray).save(tmp_path / "a.png")

    assert np.abs(shown(tmp_path / "a.png") - gray[..., None] / 257).max() <= 0.5


@pytest.mark.parametrize("mode", ["L", "1", "LA", "P"])
def test_other_colors_become_rgb(tmp_path, mode):
    picture = Image.fromarray(UPRIGHT).convert(mode)
    picture.save(tmp_path / "a.png")

    assert (shown(tmp_path / "a.png") == np.asarray(picture.convert("RGB"))).all()


def test_cmyk_is_multiplied_with_black(tmp_path):
    inks = Image.fromarray(np.broadcast_to(np.array([0, 128, 255, 64], np.uint8), (32, 64, 4)), mode="CMYK")
    inks.save(tmp_path / "a.jpg", quality=98)

    wanted = (255 - np.array([0, 128, 255])) * (255 - 64) / 255
    assert np.abs(shown(tmp_path / "a.jpg").mean(axis=(0, 1)) - wanted).max() < 3


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\xff\xd8\xff\xd9"])
def test_a_picture_that_can_not_be_read_is_named(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)

    with pytest.raises(MediaError, match=r"a\.png can't be decoded"):
        read_clip(tmp_path / "a.png", row())
    with pytest.raises(MediaError, match=r"a\.png can't be decoded"):
        read_picture(tmp_path / "a.png", row())


def test_an_image_is_resized_and_cropped_as_the_plan_says(tmp_path):
    Image.fromarray(UPRIGHT).save(tmp_path / "a.png")
    place = replace(row(16, 16), resize_width=64, resize_height=32, crop_left=40, crop_top=4)

    cut = read_clip(tmp_path / "a.png", place)

    assert torch.equal(cut[0], torch.from_numpy(UPRIGHT[4:20, 40:56].copy()))


def test_latents_of_an_image_have_one_frame(tmp_path):
    draw_data(tmp_path, clips=0, more=0)
    ctx = encoded(plan_project(tmp_path, PHOTOS, train__max_steps=2))

    keys = latent_index(ctx)

    assert {tuple(ctx.store.read("latents", key)["latents"].shape) for key in keys.values()} == {(16, 1, 8, 12)}
