"""What alignment needs of stage ``encode-video``: the teacher's features of every window of a trained clip, once for each content."""

from collections.abc import Mapping
from contextlib import ExitStack

import torch

from recipe_runtime.clip import DECODE_VERSION, ClipReader
from recipe_runtime.context import Context
from recipe_runtime.errors import ModelError
from recipe_runtime.models.source import weights_digest
from recipe_runtime.models.teacher import load_teacher, patch_features, teacher_dir
from recipe_runtime.stage import report_stage
from recipe_runtime.stop import StopRequested
from recipe_runtime.store import content_key
from recipe_runtime.store_group import Group
from recipe_schema.ledger import ClipRow
from recipe_schema.stored import shapes_pixels


_FEATURES_VERSION = 1
"""Raised whenever the same pixels and teacher give other features."""


def has_teacher(ctx: Context) -> bool:
    """Tell whether the run aligns features with those of a model of its own, and not of the transformer."""
    crepa = ctx.settings.regularizers.crepa
    return crepa.enabled and crepa.feature_source == "encoder"


def feature_index(ctx: Context) -> Mapping[str, str]:
    """Return the key in the store of the features of each window of a trained clip, by ``clip_id``.

    The value holds ``features``, fp16, shape (latent frames, patches, channels).

    Raises:
        ModelError: The teacher is missing.
    """
    teacher = {
        "version": _FEATURES_VERSION,
        "decode_version": DECODE_VERSION,
        "teacher": weights_digest(teacher_dir(ctx)),
        "size": ctx.settings.regularizers.crepa.encoder_image_size,
    }
    return {
        row.clip_id: content_key({**teacher, **shapes_pixels(row), "latent_frames": _latent_frames(ctx, row)})
        for row in ctx.windows
    }


def chosen_frames(frames: int, latent_frames: int) -> list[int]:
    """Return which frames of a clip stand for its latent frames: evenly spaced, rounded down, first and last among them."""
    return [index * (frames - 1) // max(latent_frames - 1, 1) for index in range(latent_frames)]


def run(ctx: Context, stop: StopRequested) -> None:
    """Encode what the store does not have. Where nothing is missing, no model is loaded.

    Raises:
        MediaError: A clip can't be decoded.
        ModelError: The teacher can't be loaded, or gives values that are not finite.
        StoppedBySignal: Someone asked the run to stop. What is encoded is kept.
    """
    index, crepa = feature_index(ctx), ctx.settings.regularizers.crepa
    left = ctx.store.missing("features", set(index.values()))
    missing = [row for row in ctx.windows if index[row.clip_id] in left]
    reused = len(index) - len(missing)
    with ExitStack() as stack:
        report = stack.enter_context(
            report_stage(
                ctx.recorder, "encode-video", total=len(index), reused=reused, unit="teacher's clips", stop=stop
            )
        )
        if not missing:
            return
        teacher = load_teacher(teacher_dir(ctx), ctx.device)
        reader = ClipReader()
        group = stack.enter_context(Group(ctx.store, "features"))
        for row in missing:
            frames = reader.read(ctx.clip_path(row), row)
            chosen = frames[chosen_frames(len(frames), _latent_frames(ctx, row))]
            features = patch_features(
                teacher, chosen, size=crepa.encoder_image_size, at_once=crepa.encoder_frames_batch_size
            ).to(torch.float16)
            if not bool(torch.isfinite(features).all()):
                raise ModelError(
                    f"the teacher gives values that are not finite for {row.clip_id}; fetch it anew, or take another "
                    "`regularizers.crepa.encoder`"
                )
            facts = {"clip": row.clip_id, "teacher": crepa.encoder_path or crepa.encoder}
            group.add(index[row.clip_id], {"features": features}, facts)
            report.finish(1)


def _latent_frames(ctx: Context, row: ClipRow) -> int:
    return int((row.bucket_frames - 1) // ctx.facts["vae"]["temporal"] + 1)
