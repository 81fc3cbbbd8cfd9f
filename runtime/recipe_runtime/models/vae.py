"""The Wan VAE: pixels to normalized latents and back.

Latents are the posterior's mode, normalized for each channel: z = (mu - mean) / std, with the constants of the
VAE's configuration (diffusers, ``AutoencoderKLWan``: ``latents_mean``, ``latents_std``). Decoding is the inverse.
"""

from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from safetensors import SafetensorError
from torch import Tensor

from recipe_runtime.errors import ModelError
from recipe_runtime.models.dtypes import DTYPES


def load_vae(folder: Path, dtype: str, device: torch.device, *, tiling: bool, slicing: bool) -> AutoencoderKLWan:
    """Load the VAE for inference.

    Args:
        folder: The VAE's own folder.
        dtype: Its precision, ``fp32`` or ``bf16``.
        device: Where it runs.
        tiling: Whether it works in overlapping tiles.
        slicing: Whether it takes one clip of a batch after the other.

    Raises:
        ModelError: It can't be loaded, or its constants are not one for each channel.
    """
    try:
        vae = AutoencoderKLWan.from_pretrained(folder, dtype=DTYPES[dtype], local_files_only=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"the VAE in {folder} can't be loaded: {error}; check that the download is complete and that it is the "
            "VAE of Sana Video, an AutoencoderKLWan"
        ) from error
    for name in ("latents_mean", "latents_std"):
        if len(vae.config[name]) != vae.config["z_dim"]:
            raise ModelError(
                f"the VAE in {folder} has {vae.config['z_dim']} channels and {len(vae.config[name])} values of "
                f"{name}; take its config.json from where its weights are from"
            )
    vae.eval().requires_grad_(False).to(device)
    if tiling:
        vae.enable_tiling()
    if slicing:
        vae.enable_slicing()
    return vae


@torch.no_grad()
def encode(vae: AutoencoderKLWan, pixels: Tensor) -> Tensor:
    """Encode clips.

    Args:
        vae: The VAE.
        pixels: On the device that it computes on, shape (batch, 3, frames, height, width), values -1 to 1; frames 4k + 1.

    Returns:
        Normalized latents in fp32, shape (batch, channels, (frames - 1) / 4 + 1, height / 8, width / 8).
    """
    mode = vae.encode(pixels.to(vae.dtype)).latent_dist.mode().float()
    mean, std = _constants(vae, mode)
    return (mode - mean) / std


@torch.no_grad()
def decode(vae: AutoencoderKLWan, latents: Tensor) -> Tensor:
    """Decode normalized latents, the inverse of `encode`.

    Args:
        vae: The VAE.
        latents: On the device that it computes on, shape (batch, channels, latent frames, latent height, latent width).

    Returns:
        Pixels in fp32, values -1 to 1, shape (batch, 3, frames, height, width).
    """
    mean, std = _constants(vae, latents)
    scaled = latents.float() * std + mean
    return vae.decode(scaled.to(vae.dtype)).sample.float().clamp(-1, 1)


def _constants(vae: AutoencoderKLWan, like: Tensor) -> tuple[Tensor, Tensor]:
    shape = (1, -1, 1, 1, 1)
    mean = torch.tensor(vae.config["latents_mean"], dtype=torch.float32, device=like.device).view(shape)
    std = torch.tensor(vae.config["latents_std"], dtype=torch.float32, device=like.device).view(shape)
    return mean, std
