"""A tiny decoder for latents of Wan 2.1, for looking: TAEHV's decoder in the form of its weights `taew2_1` (MIT licence).

Plain 2D convolutions, with three blocks at each of three sizes that also see the frame before (zeros before the first).
Three times a size is doubled; twice in time, too, so that a latent frame gives four frames. The first three
frames of a clip come from nothing and are dropped, as the VAE's first latent frame stands for one frame. It takes
normalized latents as they are, and gives colors from 0 to 1. Its quality is not the VAE's, and it costs little.

Source: the published code and weights of TAEHV, https://github.com/madebyollin/taehv. Names of weights follow their file.
"""

from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from recipe_runtime.errors import ModelError
from recipe_schema.sections.evaluation import TINY_DECODER_FILES


_KEY = "validation.preview.decoder"
_CHANNELS = 16
_WIDTHS = (256, 128, 64, 64)
_GROWTH = (1, 2, 2)
"""Frames that each size makes of one."""

_FIRST_DROPPED = 3


class _Bounded(nn.Module):
    """Keeps latents between -3 and 3, smoothly."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class _Remembering(nn.Module):
    """Three convolutions over a frame and the one before it, beside a way around."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inside = [nn.ReLU(), _convolution(width, width), nn.ReLU(), _convolution(width, width)]
        self.conv = nn.Sequential(_convolution(2 * width, width), *inside)

    def forward(self, frames: Tensor, before: Tensor) -> Tensor:
        past = torch.cat([before, frames[:-1]])
        return torch.relu(self.conv(torch.cat([frames, past], 1)) + frames)


class _Growing(nn.Module):
    """Makes ``times`` frames of each."""

    def __init__(self, width: int, times: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width * times, 1, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        return self.conv(frames).reshape(-1, *frames.shape[1:])


class TinyDecoder(nn.Module):
    """The decoder. Frames are computed a latent one after the other, so that memory does not grow with the length."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [_Bounded(), _convolution(_CHANNELS, _WIDTHS[0]), nn.ReLU()]
        for width, following, times in zip(_WIDTHS, _WIDTHS[1:], _GROWTH, strict=False):
            blocks += [_Remembering(width) for _ in range(3)]
            blocks += [nn.Upsample(scale_factor=2), _Growing(width, times), _convolution(width, following, bias=False)]
        self.decoder = nn.Sequential(*blocks, nn.ReLU(), _convolution(_WIDTHS[-1], 3))

    @torch.no_grad()
    def forward(self, latents: Tensor) -> Tensor:
        """Decode a clip.

        Args:
            latents: Normalized, fp32, shape (16, latent frames, latent height, latent width).

        Returns:
            Pixels (3, frames, height, width), values -1 to 1.
        """
        frames = torch.cat(list(self._frames(latents)))[_FIRST_DROPPED:]
        return frames.permute(1, 0, 2, 3) * 2 - 1

    def _frames(self, latents: Tensor) -> Iterator[Tensor]:
        last: dict[int, Tensor] = {}
        for frame in latents.unbind(1):
            x = frame[None]
            for place, block in enumerate(self.decoder):
                if isinstance(block, _Remembering):
                    before = last.get(place, torch.zeros_like(x[:1]))
                    last[place] = x[-1:]
                    x = block(x, before)
                else:
                    x = block(x)
            yield x.clamp(0, 1)


def find_tiny_decoder(name: str, root: Path) -> Path:
    """Return the file of a tiny decoder's weights, downloading it when it is not local.

    Args:
        name: The file, a folder that holds it, absolute or below ``root``; or a hub id, ``OWNER/NAME``.
        root: Where relative paths start.

    Raises:
        ModelError: It is not there and can't be had.
    """
    local = root / name
    if local.is_file():
        return local
    there = [local / file for file in TINY_DECODER_FILES if (local / file).is_file()]
    if there:
        return there[0]
    files = " or ".join(TINY_DECODER_FILES)
    if local.is_dir():
        raise ModelError(f"{local} holds no {files}; correct `{_KEY}`, or set it to `linear`, which needs no download")
    reason: Exception | None = None
    for file in TINY_DECODER_FILES:
        try:
            return Path(hf_hub_download(name, file))
        except (EntryNotFoundError, LocalEntryNotFoundError) as error:
            reason = error
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            reason = error
            break
    raise ModelError(
        f"`{_KEY}: {name}` is no file, no folder with {files} below {root}, and could not be had from the Hugging Face hub: "
        f"{(str(reason).strip() or type(reason).__name__).splitlines()[0]}; correct it, or set it to `linear`, which "
        "needs no download"
    )


def load_tiny_decoder(path: Path, device: torch.device) -> TinyDecoder:
    """Load a tiny decoder in fp32. An encoder in the same file is left out.

    Raises:
        ModelError: The file can't be read, or holds another model.
    """
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        model = TinyDecoder()
        model.load_state_dict({name: value for name, value in weights.items() if name.startswith("decoder.")})
    except (OSError, SafetensorError, RuntimeError, ValueError, AttributeError, EOFError, UnpicklingError) as error:
        raise ModelError(
            f"{path} is no tiny decoder for Wan 2.1 ({(str(error).strip() or type(error).__name__).splitlines()[0]}); take TAEHV's taew2_1, or set "
            f"`{_KEY}: linear`"
        ) from error
    return model.float().eval().requires_grad_(False).to(device)


def _convolution(inner: int, outer: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, 3, padding=1, bias=bias)
