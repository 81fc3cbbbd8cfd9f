"""What tests of adapters share: what a model gives, and the same model without an adapter."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fakes_training import batch_maker, encoded_project
from recipe_runtime import train
from recipe_runtime.context import Context
from recipe_runtime.step import predict


def predicted(ctx: Context, model: nn.Module, precision: str = "no") -> Tensor:
    """Return what a model gives for the first batch of a run."""
    (part, *_) = batch_maker(ctx).make(0).parts
    with torch.no_grad():
        return predict(model.eval(), part.latents, part, mixed_precision=precision)


def plain_model(tmp_path: Path, **settings: Any) -> nn.Module:
    """Return the transformer of a full fine-tuning of the same project."""
    _, ctx, _ = encoded_project(tmp_path / "plain", prompts=(), **settings)
    return train.build_state(ctx).model
