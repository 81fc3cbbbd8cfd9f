"""Stage ``encode-video``: the normalized latents of every trained and measured clip, once for each content."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor

from recipe_runtime.build import build_vae
from recipe_runtime.clip import DECODE_VERSION, read_clip, to_pixels
from recipe_runtime.context import Context
from recipe_runtime.errors import ModelError
from recipe_runtime.masks import encode_masks
from recipe_runtime.models.source import vae_dir, weights_digest
from recipe_runtime.models.vae import encode
from recipe_runtime.stage import report_stage
from recipe_runtime.stop import StopRequested
from recipe_runtime.store import content_key
from recipe_schema.ledger import ClipRow


Group = tuple[ClipRow, ...]
"""Clips of one bucket that the VAE encodes at once."""


def latent_index(ctx: Context) -> Mapping[str, str]:
    """Return the key in the store of the latents of each trained or measured clip, by ``clip_id``.

    The value holds ``latents``, fp32, shape (channels, frames, height, width).

    Raises:
        ModelError: The VAE is missing.
    """
    encoder = {
        "decode_version": DECODE_VERSION,
        "vae": weights_digest(vae_dir(ctx)),
        "dtype": ctx.settings.model.vae_dtype,
        "tiling": ctx.settings.memory.vae_tiling,
    }
    return {row.clip_id: content_key({**encoder, **shapes_pixels(row)}) for row in (*ctx.rows, *ctx.eval_rows)}


def run(ctx: Context, stop: StopRequested) -> None:
    """Encode what the store does not have, masks first. Where nothing is missing, no model is loaded.

    Raises:
        MediaError: A clip or a mask can't be decoded.
        ModelError: The VAE can't be loaded, or gives values that are not finite.
        StoppedBySignal: Someone asked the run to stop. What is encoded is kept.
    """
    encode_masks(ctx, stop)
    index = latent_index(ctx)
    missing = {key for key in index.values() if not ctx.store.has("latents", key)}
    reused = sum(key not in missing for key in index.values())
    with report_stage(ctx.recorder, "encode-video", total=len(index), reused=reused, unit="clips", stop=stop) as report:
        if not missing:
            return
        vae = build_vae(ctx, rests_on=ctx.device)
        # Groups are cut from all clips, and not from the missing ones: what a clip is encoded together with, and
        # so its last bits, must not depend on what an earlier run left in the store.
        groups = [
            group
            for rows in (ctx.rows, ctx.eval_rows)
            for group in _groups(rows, ctx.settings.data.vae_batch_size)
            if any(index[row.clip_id] in missing for row in group)
        ]
        for group, pixels in _decoded_ahead(ctx, groups):
            fresh = [row for row in group if index[row.clip_id] in missing]
            for row, latents in zip(group, _encode(vae, pixels.to(ctx.device), group, ctx.facts["vae"]), strict=True):
                if index[row.clip_id] in missing:
                    ctx.store.write("latents", index[row.clip_id], {"latents": latents}, _facts(row))
            report.finish(len(fresh))


def shapes_pixels(row: ClipRow) -> dict[str, str | int | float]:
    """Return what of a clip's row shapes its pixels."""
    return {
        "sha256": row.sha256,
        "start_seconds": row.start_seconds,
        "framerate": row.framerate,
        "frames": row.bucket_frames,
        "resize": f"{row.resize_width}x{row.resize_height}",
        "crop": f"{row.bucket_width}x{row.bucket_height}+{row.crop_left}+{row.crop_top}",
    }


def _facts(row: ClipRow) -> dict[str, str]:
    return {"clip": row.clip_id, **{name: str(value) for name, value in shapes_pixels(row).items()}}


def _groups(rows: Sequence[ClipRow], size: int) -> list[Group]:
    """Cut the clips of each bucket, in order of name, into groups of at most ``size``."""
    ordered = sorted(rows, key=lambda row: (row.bucket, row.clip_id))
    groups: list[Group] = []
    for _, members in groupby(ordered, key=lambda row: row.bucket):
        bucket = tuple(members)
        groups.extend(bucket[first : first + size] for first in range(0, len(bucket), size))
    return groups


def _decoded_ahead(ctx: Context, groups: Sequence[Group]) -> Iterator[tuple[Group, Tensor]]:
    """Yield each group with its pixels, while a thread decodes the next one."""

    def decode(group: Group) -> Tensor:
        return torch.stack([to_pixels(read_clip(ctx.clip_path(row), row)) for row in group])

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as pool:
        ahead = pool.submit(decode, groups[0])
        for group, later in zip(groups, [*groups[1:], None], strict=True):
            pixels = ahead.result()
            if later is not None:
                ahead = pool.submit(decode, later)
            yield group, pixels


def _encode(vae: AutoencoderKLWan, pixels: Tensor, group: Group, expected: Mapping[str, int]) -> Tensor:
    """Encode a group and check the result against what the plan ``expected`` of its family's VAE."""
    latents = encode(vae, pixels).cpu()
    frames, height, width = pixels.shape[2:]
    scale = expected["spatial"]
    shape = (expected["channels"], (frames - 1) // expected["temporal"] + 1, height // scale, width // scale)
    if latents.shape[1:] != shape:
        raise ModelError(
            f"the VAE turns {width}x{height} with {frames} frames into latents of shape {tuple(latents.shape[1:])} "
            f"where this family has {shape}; take the VAE that the transformer was trained with"
        )
    for row, clip in zip(group, latents, strict=True):
        if not bool(torch.isfinite(clip).all()):
            raise ModelError(
                f"the VAE gives values that are not finite for {row.clip_id}; set `model.vae_dtype: fp32`, and check "
                "the clip by eye if it is fp32 already"
            )
    return latents
