"""Masks: where the loss of a clip counts, as one weight for each place of its latents."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import torch
from torch import Tensor

from recipe_runtime.clip import DECODE_VERSION, ClipReader, read_picture
from recipe_runtime.context import Context
from recipe_runtime.errors import MediaError
from recipe_runtime.first_frame import image_to_video
from recipe_runtime.labels import LABELS_VERSION, weigh_labels
from recipe_runtime.stage import report_stage
from recipe_runtime.stop import StopRequested
from recipe_runtime.store import content_key
from recipe_runtime.store_group import Group
from recipe_schema.events import Warned
from recipe_schema.ledger import ClipRow
from recipe_schema.sections.regularizers import MaskedLoss
from recipe_schema.video import is_picture


_WHITE = 3 * 255
"""The sum of a white pixel's channels."""

_NAMED = 3
"""Masks that a message names; the rest are counted."""


def mask_index(ctx: Context) -> Mapping[str, str]:
    """Return the key in the store of the mask of each window of a trained clip that has one, by ``clip_id``.

    The value holds ``mask``, fp32, 0 to 1, shape (frames, height, width) of the clip's latents. The mask of a picture
    has one frame, which holds for all.
    """
    if not ctx.settings.regularizers.masked_loss.enabled:
        return {}
    vae = ctx.facts["vae"]
    packing = {"temporal": vae["temporal"], "spatial": vae["spatial"], "decode_version": DECODE_VERSION}
    labels = labels_of(ctx)
    return {
        row.clip_id: content_key({**packing, **_shapes_mask(row), **_shapes_labels(labels.get(row.mask_dataset))})
        for row in ctx.windows
        if row.mask_sha256
    }


def labels_of(ctx: Context) -> Mapping[str, Mapping[str, float]]:
    """Return the weights of labels of each data set that holds labels, by its id."""
    return {
        dataset.id: dataset.label_weights
        for dataset in ctx.settings.data.datasets
        if dataset.conditioning_type == "segmentation"
    }


def encode_masks(ctx: Context, stop: StopRequested) -> None:
    """Bring masks to the size of latents, and store those that the store does not have.

    Raises:
        MediaError: A mask can't be decoded.
        StoppedBySignal: Someone asked the run to stop. What is done is kept.
    """
    index = mask_index(ctx)
    if not index:
        return
    labels, store = labels_of(ctx), ctx.store
    left = store.missing("masks", set(index.values()))
    missing = [row for row in ctx.windows if index.get(row.clip_id) in left]
    reused = len(index) - len(missing)
    with (
        report_stage(ctx.recorder, "encode-video", total=len(index), reused=reused, unit="masks", stop=stop) as report,
        Group(store, "masks") as group,
    ):
        reader = ClipReader()
        for row in missing:
            key = index[row.clip_id]
            if key in left:  # a picture holds for all windows of its clip
                mask = _encode(ctx, row, labels.get(row.mask_dataset), reader)
                facts = {"clip": row.clip_id, **{name: str(value) for name, value in _shapes_mask(row).items()}}
                group.add(key, {"mask": mask}, facts)
                left.remove(key)
            report.finish(1)


def _encode(ctx: Context, row: ClipRow, labels: Mapping[str, float] | None, reader: ClipReader) -> Tensor:
    """Bring the mask of a clip, or its labels, to the size of latents."""
    path, vae = ctx.dataset_dir(row.mask_dataset) / row.mask_path, ctx.facts["vae"]
    packing = {"temporal": vae["temporal"], "spatial": vae["spatial"]}
    if labels is not None:
        return weigh_labels(path, row, labels, **packing)
    return pool(read_picture(path, row) if is_picture(path) else reader.read(path, row), **packing)


def check_masks(ctx: Context) -> None:
    """Check that each clip has a place that counts.

    Only a background of weight 0 can leave none. Labels are looked at in any case: colours that nobody named are easily
    taken for those that were.

    Raises:
        MediaError: Weights are to be divided by their mean, and that is 0.
    """
    settings, labels = ctx.settings.regularizers.masked_loss, labels_of(ctx)
    if settings.probability == 0:
        return
    index, background, given = mask_index(ctx), settings.background_weight > 0, _given_first(ctx)
    looked = [row for row in ctx.windows if row.clip_id in index and (not background or row.mask_dataset in labels)]
    empty = [
        _name(row)
        for row in looked
        if not bool(_counts(_learnt(read_mask(ctx, index[row.clip_id]), row.clip_id in given), settings).any())
    ]
    if not empty:
        return
    named = ", ".join(empty[:_NAMED]) + (f" and {len(empty) - _NAMED} more" if len(empty) > _NAMED else "")
    if background:
        ctx.recorder.emit(
            Warned(
                message=f"{len(empty)} clips have no label that counts where they are trained, so that all of them is "
                f"background: {named}; compare the colours with `label_weights`"
            )
        )
        return
    color = "white" if settings.invert else "black"
    if settings.normalize:
        raise MediaError(
            f"{len(empty)} masks are wholly {color} where their clips are trained, so that there is nothing to divide by: "
            f"{named}; correct them, take the clips out, or set `masked_loss.background_weight` above 0 or "
            "`masked_loss.normalize: false`"
        )
    ctx.recorder.emit(Warned(message=f"{len(empty)} clips train nothing, their masks are wholly {color}: {named}"))


def _name(row: ClipRow) -> str:
    """Name a mask, and of which window it is that of where its clip has several."""
    return f"{row.mask_dataset}/{row.mask_path}" + (f" (window {row.window})" if row.window else "")


def _given_first(ctx: Context) -> frozenset[str]:
    """Return the clips whose first frame may be given, by ``clip_id``."""
    videos = image_to_video(ctx.settings.data.datasets)
    asked = {name for name, video in videos.items() if video.i2v_probability > 0}
    return frozenset(row.clip_id for row in ctx.windows if row.dataset in asked)


def _learnt(mask: Tensor, first_is_given: bool) -> Tensor:  # noqa: FBT001
    """Return what of a mask counts in the loss."""
    return without_first(mask) if first_is_given else mask


def without_first(mask: Tensor) -> Tensor:
    """Return what a mask, (frames or 1, height, width), says of the frames after the first."""
    return mask if len(mask) == 1 else mask[1:]


def read_mask(ctx: Context, key: str) -> Tensor:
    """Read a mask, (frames or 1, height, width), from the store."""
    return ctx.store.read("masks", key)["mask"]


def pool(frames: Tensor, *, temporal: int, spatial: int) -> Tensor:
    """Average a mask over what becomes one place of latents.

    The first frame stands alone, the others go in groups, as the VAE packs them. Sums are whole numbers, so that white is
    exactly 1.

    Args:
        frames: (frames, height, width, 3), uint8. The mean over the channels counts.
        temporal: Frames of a group.
        spatial: Height and width of a place, in pixels.

    Returns:
        (1 + (frames - 1) / temporal, height / spatial, width / spatial), fp32, 0 to 1.
    """
    count, height, width, _ = frames.shape
    sums = frames.sum(dim=3, dtype=torch.int32)
    sums = sums.view(count, height // spatial, spatial, width // spatial, spatial).sum(dim=(2, 4))
    groups = sums[1:].view(-1, temporal, *sums.shape[1:]).sum(dim=1)
    area = _WHITE * spatial**2
    return torch.cat([sums[:1].double() / area, groups.double() / (area * temporal)]).float()


def sample_weights(mask: Tensor, settings: MaskedLoss) -> Tensor:
    """Return the weights of a sample's loss: background + (1 - background) · mask, divided by their mean if asked for.

    A white mask gives exactly 1 everywhere. Weights that are all 0 stay so.

    Args:
        mask: (frames, height, width), 0 to 1.
        settings: What counts, and how much the rest does.
    """
    weights = 1 - (1 - settings.background_weight) * (1 - _counts(mask, settings))
    mean = weights.mean(dtype=torch.float64)
    return (weights / mean).float() if settings.normalize and mean > 0 else weights


def _counts(mask: Tensor, settings: MaskedLoss) -> Tensor:
    return 1 - mask if settings.invert else mask


def _shapes_labels(labels: Mapping[str, float] | None) -> dict[str, Any]:
    """Return what shapes the weights of labels besides the file."""
    return {} if labels is None else {"labels": dict(labels), "labels_version": LABELS_VERSION}


def _shapes_mask(row: ClipRow) -> dict[str, str | int | float]:
    """Return what of a clip's row shapes its mask. When frames are taken matters to videos alone."""
    shapes: dict[str, str | int | float] = {
        "sha256": row.mask_sha256,
        "resize": f"{row.resize_width}x{row.resize_height}",
        "crop": f"{row.bucket_width}x{row.bucket_height}+{row.crop_left}+{row.crop_top}",
    }
    if is_picture(PurePosixPath(row.mask_path)):
        return shapes
    # Without a rate of its own the sample begins with a frame of some number, which follows from the clip's rate.
    rate = {} if row.framerate else {"fps": row.fps}
    return {
        **shapes,
        **rate,
        "start_seconds": row.start_seconds,
        "framerate": row.framerate,
        "frames": row.bucket_frames,
    }
