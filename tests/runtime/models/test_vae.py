import pytest
import torch

from fakes_runtime import make_project
from recipe_runtime.clip import to_pixels
from recipe_runtime.errors import ModelError
from recipe_runtime.models.moving_shapes import moving_shapes
from recipe_runtime.models.vae import decode, encode, load_vae


CPU = torch.device("cpu")


def tiny_vae(tmp_path, *, tiling=False, slicing=False):
    make_project(tmp_path)
    return load_vae(tmp_path / "project/models/tiny/vae", "fp32", CPU, tiling=tiling, slicing=slicing)


@pytest.mark.parametrize(("level", "expected"), [(0, -1.0), (255, 1.0)])
def test_the_encoder_sees_black_as_minus_one_and_white_as_one(tmp_path, level, expected):
    vae = tiny_vae(tmp_path)
    seen = []
    hook = vae.encoder.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))

    encode(vae, to_pixels(torch.full((9, 64, 64, 3), level, dtype=torch.uint8)).unsqueeze(0))

    hook.remove()
    assert seen
    assert all(torch.equal(pixels, torch.full_like(pixels, expected)) for pixels in seen)


def test_latents_are_the_normalized_mode(tmp_path):
    vae = tiny_vae(tmp_path)
    clip = next(iter(moving_shapes()))

    latents = encode(vae, clip)

    mean = torch.tensor(vae.config["latents_mean"]).view(1, 16, 1, 1, 1)
    std = torch.tensor(vae.config["latents_std"]).view(1, 16, 1, 1, 1)
    with torch.no_grad():
        mode = vae.encode(clip).latent_dist.mean
    torch.testing.assert_close(latents * std + mean, mode, rtol=1e-5, atol=1e-6)


def test_normalized_latents_of_a_random_vae_have_about_unit_variance(tmp_path):
    vae = tiny_vae(tmp_path)

    latents = torch.cat([encode(vae, clip) for clip in moving_shapes()])

    torch.testing.assert_close(latents.mean(dim=(0, 2, 3, 4)), torch.zeros(16), rtol=0, atol=1e-3)
    torch.testing.assert_close(latents.std(dim=(0, 2, 3, 4)), torch.ones(16), rtol=0, atol=1e-3)


def test_decoding_undoes_the_normalization(tmp_path):
    vae = tiny_vae(tmp_path)
    clip = next(iter(moving_shapes()))

    pixels = decode(vae, encode(vae, clip))

    with torch.no_grad():
        direct = vae.decode(vae.encode(clip).latent_dist.mode()).sample.clamp(-1, 1)
    assert pixels.shape == clip.shape
    torch.testing.assert_close(pixels, direct, rtol=1e-4, atol=1e-4)


def test_tiling_is_turned_on_when_asked(tmp_path):
    assert tiny_vae(tmp_path, tiling=True).use_tiling


def test_a_folder_that_is_no_vae_is_named(tmp_path):
    with pytest.raises(ModelError, match="can't be loaded"):
        load_vae(tmp_path, "fp32", CPU, tiling=False, slicing=False)
