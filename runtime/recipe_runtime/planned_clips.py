"""The validation clips that a plan wants, and which of them are there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recipe_runtime.checkpoint import step_name
from recipe_runtime.context import Context
from recipe_runtime.errors import RunError
from recipe_runtime.video_file import read_note
from recipe_schema.canonical import digest
from recipe_schema.plan import FirstImage


CLIPS_FOLDER = "validation"
_DRAWING_VERSION = 1
"""Raised when the same weights and settings give another clip."""

_WEIGHTS: Mapping[str, tuple[Literal["model", "ema"], ...]] = {
    "ema_only": ("ema",),
    "none": ("model",),
    "comparison": ("model", "ema"),
}
_SUFFIXES: Mapping[str, str] = {"model": "", "ema": "-ema"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedClip:
    """A clip that is to be there after some step.

    Attributes:
        nickname: Name of its prompt.
        weights: Whose it is: the last weights' or the average's.
        text: The prompt, with the motion score.
        caption: The prompt as it was written.
        path: Its file.
        note: Digest of all that shapes it, kept in the file, so that a clip of other settings is drawn anew.
        seed: Seed of its starting noise.
        image: What it starts from; None draws it from the text alone.
    """

    nickname: str
    weights: Literal["model", "ema"]
    text: str
    caption: str
    path: Path
    note: str
    seed: int
    image: FirstImage | None


def planned_clips(ctx: Context, step: int) -> tuple[PlannedClip, ...]:
    """Return the clips of a step, whether they are there or not.

    Raises:
        RunError: Two of them would be one file.
    """
    ema, looks = ctx.settings.ema, ctx.settings.validation
    folder = ctx.run_dir / CLIPS_FOLDER / step_name(step)
    shared = {
        "version": _DRAWING_VERSION,
        "plan_id": ctx.plan.plan_id,
        "step": step,
        "negative": ctx.plan.execution.negative_prompt,
        "guidance": looks.guidance,
        "num_inference_steps": looks.num_inference_steps,
        "size": [looks.resolution, looks.num_video_frames, looks.framerate],
    }
    clips = tuple(
        PlannedClip(
            nickname=prompt.nickname,
            weights=weights,
            text=prompt.text,
            caption=prompt.caption or prompt.text,
            path=folder / f"{prompt.nickname}{f'-{number + 1}' if number else ''}{_SUFFIXES[weights]}.mp4",
            note=digest(
                {
                    **shared,
                    **_shapes_start(prompt.image),
                    "weights": weights,
                    "text": prompt.text,
                    "seed": looks.seed + number,
                }
            ),
            seed=looks.seed + number,
            image=prompt.image,
        )
        for prompt in ctx.plan.execution.prompts
        for number in range(looks.num_clips)
        for weights in (_WEIGHTS[ema.validation] if ema.enabled else ("model",))
    )
    names = [clip.path.name for clip in clips]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RunError(f"two validation clips would be written to {twice[0]}; give their prompts other nicknames")
    return clips


def _shapes_start(image: FirstImage | None) -> dict[str, Any]:
    """Return what of a first frame shapes a clip: where its file lies does not."""
    if image is None:
        return {}
    crop = [image.resize_width, image.resize_height, image.crop_left, image.crop_top]
    return {"image": image.sha256, "image_crop": crop}


def is_missing(clip: PlannedClip) -> bool:
    """Tell whether a clip is not there yet, or one of other settings."""
    return read_note(clip.path) != clip.note


def any_missing(ctx: Context, step: int) -> bool:
    """Tell whether a clip of a step is to be drawn."""
    return any(is_missing(clip) for clip in planned_clips(ctx, step))
