"""Colors of latents without a decoder: a linear map from the channels to red, green and blue, fitted to the run's clips.

For every place of a latent frame, y = W z + b with z the normalized channels and y the mean color of the pixels that it
stands for. W (3 × 16) and b are the least squares solution over clips that the run trains and whose latents the store
has: no download, and right for whatever VAE made them. What is drawn that way has an eighth of the size and a
quarter of the frames.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from recipe_runtime.clip import read_clip, to_pixels
from recipe_runtime.context import Context
from recipe_runtime.encode_video import latent_index
from recipe_runtime.store import content_key
from recipe_schema.ledger import ClipRow


_VERSION = 1
"""Raised when the same clips give another map."""

_CLIPS = 8
"""Clips that are looked at: a map of 51 numbers needs no more."""


def colors_key(ctx: Context) -> str:
    """Return the key in the store of the map: a digest of the latents that it is fitted to, which name VAE and clips."""
    index = latent_index(ctx)
    return content_key({"colors_version": _VERSION, "latents": [index[row.clip_id] for row in _chosen(ctx)]})


def latent_colors(ctx: Context) -> tuple[Tensor, Tensor]:
    """Return the map, from the store or fitted now.

    Returns:
        W, shape (3, channels), and b, shape (3), fp32, for colors from -1 to 1.

    Raises:
        StoreError: The store can't be read or written.
        MediaError: A clip can't be decoded.
    """
    key = colors_key(ctx)
    if not ctx.store.has("colors", key):
        rows, index = _chosen(ctx), latent_index(ctx)
        weight, bias = fit([_pair(ctx, row, index[row.clip_id]) for row in rows])
        facts = {"what": "least squares from latents to colors", "clips": ", ".join(row.clip_id for row in rows)}
        ctx.store.write("colors", key, {"weight": weight, "bias": bias}, facts)
    stored = ctx.store.read("colors", key)
    return stored["weight"], stored["bias"]


def fit(pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Solve the least squares problem.

    Args:
        pairs: For each clip its latents (channels, places) and its colors (3, places).

    Returns:
        W, shape (3, channels), and b, shape (3), fp32. Of several solutions, as for a clip of one color, the smallest.
    """
    channels = len(pairs[0][0])
    square = torch.zeros(channels + 1, channels + 1, dtype=torch.float64)
    mixed = torch.zeros(channels + 1, 3, dtype=torch.float64)
    for latents, colors in pairs:
        rows = torch.cat([latents.double(), torch.ones(1, latents.shape[1], dtype=torch.float64)])
        square += rows @ rows.T
        mixed += rows @ colors.double().T
    solution = (torch.linalg.pinv(square, hermitian=True) @ mixed).T.float()
    return solution[:, :-1].contiguous(), solution[:, -1].contiguous()


def color(latents: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Color latents (channels, frames, height, width): pixels (3, frames, height, width), about -1 to 1."""
    return torch.einsum("rc,cfhw->rfhw", weight.to(latents), latents) + bias.to(latents).view(3, 1, 1, 1)


def mean_colors(pixels: Tensor, shape: Sequence[int]) -> Tensor:
    """Average pixels (3, frames, height, width) over what each place of latents (frames, height, width) stands for.

    The first latent frame stands for one frame, each later one for as many as are left for it.
    """
    frames, height, width = shape
    cells = functional.adaptive_avg_pool2d(pixels.permute(1, 0, 2, 3), (height, width))
    later = cells[1:].reshape(frames - 1, -1, 3, height, width).mean(1) if frames > 1 else cells[1:]
    return torch.cat([cells[:1], later]).permute(1, 0, 2, 3)


def _chosen(ctx: Context) -> Sequence[ClipRow]:
    """Take clips from all over the ledger, whose order is by name."""
    step = max(len(ctx.rows) // _CLIPS, 1)
    return tuple(row.windows[0] for row in ctx.rows[::step][:_CLIPS])


def _pair(ctx: Context, row: ClipRow, key: str) -> tuple[Tensor, Tensor]:
    latents = ctx.store.read("latents", key)["latents"]
    pixels = to_pixels(read_clip(ctx.clip_path(row), row))
    return latents.flatten(1), mean_colors(pixels, latents.shape[1:]).flatten(1)
