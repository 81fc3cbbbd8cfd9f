"""Scores validation clips by CLIP: whether frames look like their prompt. It sees single frames, and no motion."""

import math
import time

import numpy as np
import torch
from numpy.typing import NDArray

from recipe_runtime.context import Context
from recipe_runtime.models.clip_model import Clip, clip_dir, clip_scores, load_clip
from recipe_schema.events import ClipScored


class Judge:
    """Compares clips with their prompts. The model is loaded with the first one.

    Args:
        ctx: The run.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._clip: Clip | None = None

    def score(
        self, frames: NDArray[np.uint8], caption: str, *, step: int, nickname: str, weights: str, path: str
    ) -> None:
        """Score a clip, and tell of it.

        Args:
            frames: All of its frames, (frames, height, width, 3), RGB.
            caption: Its prompt, without the motion score.
            step: Optimizer steps done.
            nickname: Name of the prompt.
            weights: Whose clip it is.
            path: The clip, below the run directory.

        Raises:
            ModelError: The model can't be loaded.
        """
        began = time.monotonic()
        if self._clip is None:
            device = torch.device("cpu") if self._ctx.settings.memory.model_cpu_offload else self._ctx.device
            self._clip = load_clip(clip_dir(self._ctx), device)
        chosen = evenly(len(frames), self._ctx.settings.evaluation.num_frames)
        scores = clip_scores(self._clip, caption, torch.from_numpy(frames[chosen]))
        self._ctx.recorder.emit(
            ClipScored(
                step=step,
                nickname=nickname,
                weights=weights,
                path=path,
                score=math.fsum(scores) / len(scores),
                least=min(scores),
                frames=len(scores),
                seconds=time.monotonic() - began,
            )
        )


def evenly(frames: int, count: int) -> list[int]:
    """Return the numbers of ``count`` frames of a clip, evenly spaced, first and last among them; of a short clip all."""
    if count >= frames:
        return list(range(frames))
    return [index * (frames - 1) // max(count - 1, 1) for index in range(count)]
