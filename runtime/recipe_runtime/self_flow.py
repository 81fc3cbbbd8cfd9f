"""Self-Flow (arXiv:2603.06507): some tokens of a sample have a noise level of their own.

Two levels are drawn for each sample, both as for any sample. A share of its tokens has the second one, the others the
first. The teacher, the average of the weights, sees the whole sample at the lower of the two, so that it knows more than
the block that learns from it. `recipe_runtime.crepa` compares the two.
"""

import torch
from torch import Tensor

from recipe_runtime.context import Context
from recipe_runtime.crepa import weight_at


class SelfFlow:
    """Says which steps need a second level, and which tokens have it.

    Args:
        ctx: The run.
    """

    def __init__(self, ctx: Context) -> None:
        self._settings = ctx.settings.regularizers.crepa
        self._on = self._settings.enabled and self._settings.feature_source == "self_flow"
        self._patch: tuple[int, ...] = tuple(ctx.facts["patch_size"])
        self._max_steps = ctx.plan.body.schedule.max_steps

    def reads(self, step: int) -> bool:
        """Tell whether the step after ``step`` optimizer steps has a weight in the settings.

        A threshold may have ended alignment since; the second level is then not used.
        """
        return self._on and weight_at(step, self._settings, max_steps=self._max_steps) > 0

    def draw_tokens(self, shape: torch.Size, draw: torch.Generator, *, first_is_given: bool) -> Tensor:
        """Choose the tokens of a sample that have the second level: always as many, and at least one.

        Args:
            shape: Frames, height and width of its latents.
            draw: Where chance comes from.
            first_is_given: Whether its first frame is; the share is then that of the others' tokens.

        Returns:
            (frames, rows, columns), bool.
        """
        grid = [size // of for size, of in zip(shape, self._patch, strict=True)]
        given = grid[1] * grid[2] if first_is_given else 0
        tokens = torch.Size(grid).numel() - given
        count = max(round(self._settings.self_flow_mask_ratio * tokens), 1)
        chosen = torch.zeros(given + tokens, dtype=torch.bool)
        chosen[given + torch.randperm(tokens, generator=draw)[:count]] = True
        return chosen.view(grid)
