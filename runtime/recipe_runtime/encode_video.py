"""Stage ``encode-video``: the normalized latents of every trained and measured clip, once for each content."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor

from recipe_runtime.build import build_vae
from recipe_runtime.clip import DECODE_VERSION, ClipReader, to_pixels
from recipe_runtime.context import Context
from recipe_runtime.encode_queue import EncodeQueue, Work
from recipe_runtime.errors import ModelError
from recipe_runtime.masks import encode_masks
from recipe_runtime.models.source import vae_dir, weights_digest
from recipe_runtime.models.vae import encode
from recipe_runtime.stage import report_stage
from recipe_runtime.stop import StopRequested
from recipe_runtime.store import content_key
from recipe_schema.ledger import ClipRow
from recipe_schema.stored import latent_facts, shapes_pixels


Group = tuple[ClipRow, ...]
"""Clips, or windows of clips, of one bucket that the VAE encodes at once."""


def latent_index(ctx: Context) -> Mapping[str, str]:
    """Return the key in the store of the latents of each window of a trained or measured clip, by ``clip_id``.

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
    rows = (*ctx.windows, *ctx.eval_windows)
    return {row.clip_id: content_key({**encoder, **shapes_pixels(row)}) for row in rows}


def run(ctx: Context, stop: StopRequested) -> None:
    """Encode what the store does not have, masks first. Where nothing is missing, no model is loaded.

    Raises:
        MediaError: A clip or a mask can't be decoded.
        ModelError: The VAE can't be loaded, or gives values that are not finite.
        StoppedBySignal: Someone asked the run to stop. What is encoded is kept.
    """
    encode_masks(ctx, stop)
    index = latent_index(ctx)
    missing = ctx.store.missing("latents", set(index.values()))
    reused = sum(key not in missing for key in index.values())
    unit = "clips" if len(index) == len(ctx.rows) + len(ctx.eval_rows) else "windows of clips"
    with report_stage(ctx.recorder, "encode-video", total=len(index), reused=reused, unit=unit, stop=stop) as report:
        if not missing:
            return
        # Groups are cut from all clips, and not from the missing ones: what a clip is encoded together with, and
        # so its last bits, must not depend on what an earlier run left in the store.
        work = [
            Work(item=group, keys=Counter(index[row.clip_id] for row in group))
            for rows in (ctx.windows, ctx.eval_windows)
            for group in _groups(rows, ctx.settings.data.vae_batch_size)
        ]
        queue = EncodeQueue(
            ctx.store, "latents", missing=frozenset(missing), work=work, worker=ctx.worker, report=report
        )
        with queue:
            _work_off(ctx, queue, index)


def _work_off(ctx: Context, queue: EncodeQueue[Group], index: Mapping[str, str]) -> None:
    vae: AutoencoderKLWan | None = None  # loaded when there is something to do that no other process does
    for work, pixels in _decoded_ahead(ctx, queue):
        vae = vae or build_vae(ctx, rests_on=ctx.device)
        encoded = _encode(vae, pixels.to(ctx.device), work.item, ctx.facts["vae"])
        fresh = set(queue.fresh(work))
        for row, latents in zip(work.item, encoded, strict=True):
            if index[row.clip_id] in fresh:
                queue.write(index[row.clip_id], {"latents": latents}, _facts(ctx, row))
        queue.done(work)


def _facts(ctx: Context, row: ClipRow) -> dict[str, str]:
    model, memory = ctx.settings.model, ctx.settings.memory
    return latent_facts(row, dtype=model.vae_dtype, tiling=memory.vae_tiling)


def _groups(rows: Sequence[ClipRow], size: int) -> list[Group]:
    """Cut the windows of each bucket, in order of their clips' names, into groups of at most ``size``."""
    ordered = sorted(rows, key=lambda row: row.bucket)  # which are in order of name, windows in that of time
    groups: list[Group] = []
    for _, members in groupby(ordered, key=lambda row: row.bucket):
        bucket = tuple(members)
        groups.extend(bucket[first : first + size] for first in range(0, len(bucket), size))
    return groups


def _decoded_ahead(ctx: Context, queue: EncodeQueue[Group]) -> Iterator[tuple[Work[Group], Tensor]]:
    """Yield each group with its pixels, while a thread decodes the next one that is free."""
    reader = ClipReader()  # one thread at a time decodes

    def decode(group: Group) -> Tensor:
        return torch.stack([to_pixels(reader.read(ctx.clip_path(row), row)) for row in group])

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as pool:
        work, ahead = queue.take(wait=True), None
        while work is not None:
            pixels = decode(work.item) if ahead is None else ahead.result()
            later = queue.take(wait=False)
            ahead = None if later is None else pool.submit(decode, later.item)
            yield work, pixels
            work = queue.take(wait=True) if later is None else later


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
