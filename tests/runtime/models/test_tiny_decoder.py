from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from recipe_runtime.errors import ModelError
from recipe_runtime.models import tiny_decoder
from recipe_runtime.models.tiny_decoder import TinyDecoder, find_tiny_decoder, load_tiny_decoder


def decoder():
    torch.manual_seed(0)
    return TinyDecoder().eval()


def at_once(model, latents):
    """Decode all frames together, layer by layer, as the published code does in parallel."""
    x = latents.transpose(0, 1)
    for block in model.decoder:
        if hasattr(block, "conv") and isinstance(block.conv, nn.Sequential):
            x = block(x[:1] * 0 + x[:1], torch.zeros_like(x[:1])) if len(x) == 1 else remembered(block, x)
        else:
            x = block(x)
    return x[3:].clamp(0, 1).transpose(0, 1) * 2 - 1


def remembered(block, x):
    past = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
    return functional.relu(block.conv(torch.cat([x, past], 1)) + x)


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_one_latent_frame_after_the_other_gives_what_all_at_once_gives(frames):
    model = decoder()
    latents = torch.randn(16, frames, 4, 6)

    pixels = model(latents)

    assert pixels.shape == (3, 1 + 4 * (frames - 1), 32, 48)
    with torch.no_grad():
        assert torch.allclose(pixels, at_once(model, latents), atol=1e-5)


def test_it_has_the_names_and_sizes_of_the_published_weights():
    weights = TinyDecoder().state_dict()

    assert weights["decoder.1.weight"].shape == (256, 16, 3, 3)
    assert weights["decoder.3.conv.0.weight"].shape == (256, 512, 3, 3)
    assert weights["decoder.7.conv.weight"].shape == (256, 256, 1, 1)
    assert weights["decoder.8.weight"].shape == (128, 256, 3, 3)
    assert weights["decoder.13.conv.weight"].shape == (256, 128, 1, 1)
    assert weights["decoder.19.conv.weight"].shape == (128, 64, 1, 1)
    assert weights["decoder.22.weight"].shape == (3, 64, 3, 3)
    assert not {"decoder.8.bias", "decoder.14.bias", "decoder.20.bias"} & set(weights)


@pytest.mark.parametrize("name", ["taew2_1.safetensors", "taew2_1.pth"])
def test_it_is_loaded_from_either_file_and_an_encoder_is_left_out(tmp_path, name):
    weights = {**decoder().state_dict(), "encoder.0.weight": torch.zeros(64, 3, 3, 3)}
    (save_file if name.endswith("safetensors") else torch.save)(weights, tmp_path / name)

    assert find_tiny_decoder(tmp_path.name, tmp_path.parent) == tmp_path / name
    assert find_tiny_decoder(str(tmp_path / name), Path("/")) == tmp_path / name
    model = load_tiny_decoder(tmp_path / name, torch.device("cpu"))

    latents = torch.randn(16, 2, 4, 4)
    assert torch.equal(model(latents), decoder()(latents))


def test_another_model_is_named(tmp_path):
    save_file({"decoder.1.weight": torch.zeros(8, 48, 3, 3)}, tmp_path / "taew2_1.safetensors")

    with pytest.raises(ModelError, match=r"is no tiny decoder for Wan 2\.1"):
        load_tiny_decoder(tmp_path / "taew2_1.safetensors", torch.device("cpu"))


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"holds no taew2_1.safetensors or taew2_1.pth"):
        find_tiny_decoder(".", tmp_path)


def test_the_hub_is_asked_for_one_file_after_the_other(tmp_path, monkeypatch):
    asked = []

    def download(name, file):
        asked.append((name, file))
        if file.endswith("safetensors"):
            raise EntryNotFoundError("404")
        return "/cache/taew2_1.pth"

    monkeypatch.setattr(tiny_decoder, "hf_hub_download", download)

    assert find_tiny_decoder("me/tiny", tmp_path) == Path("/cache/taew2_1.pth")
    assert asked == [("me/tiny", "taew2_1.safetensors"), ("me/tiny", "taew2_1.pth")]


@pytest.mark.parametrize("error", [LocalEntryNotFoundError("no network"), OSError("no network")])
def test_a_hub_that_has_nothing_is_told_with_the_cure(tmp_path, monkeypatch, error):
    def download(_name, _file):
        raise error

    monkeypatch.setattr(tiny_decoder, "hf_hub_download", download)

    with pytest.raises(ModelError, match="no network; correct it, or set it to `linear`"):
        find_tiny_decoder("me/tiny", tmp_path)
