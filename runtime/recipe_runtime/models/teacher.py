"""The teacher of alignment: DINOv2 (arXiv:2304.07193) in transformers' format, whose patches describe a picture."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional
from transformers import Dinov2Model

from recipe_runtime.context import Context
from recipe_runtime.errors import ModelError
from recipe_runtime.models.source import model_dir, read_config


_KEY = "regularizers.crepa.encoder_path"
_PUBLISHED: Mapping[str, str] = {
    "dinov2_vits14": "facebook/dinov2-small",
    "dinov2_vitb14": "facebook/dinov2-base",
    "dinov2_vitl14": "facebook/dinov2-large",
    "dinov2_vitg14": "facebook/dinov2-giant",
}
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, per channel of pixels from 0 to 1: what DINOv2 was trained with."""


def teacher_dir(ctx: Context) -> Path:
    """Return the folder of the teacher, downloading it when it is not local.

    Raises:
        ModelError: It can't be had.
    """
    crepa = ctx.settings.regularizers.crepa
    return model_dir(crepa.encoder_path or _PUBLISHED[crepa.encoder], None, ctx.root, _KEY)


def teacher_width(ctx: Context) -> int:
    """Return how many channels the teacher's features have, and check that it is there and fits the settings.

    Raises:
        ModelError: It can't be had, is no DINOv2, or cuts pictures into patches that the image size does not fit.
    """
    folder, size = teacher_dir(ctx), ctx.settings.regularizers.crepa.encoder_image_size
    config = read_config(folder / "config.json")
    if config.get("model_type") != "dinov2":
        raise ModelError(
            f"{folder} holds a model of type {config.get('model_type')} where the teacher of `regularizers.crepa` is a "
            f"dinov2; correct `{_KEY}`"
        )
    if not any((folder / name).is_file() for name in _WEIGHTS):
        raise ModelError(f"{folder} holds no weights; fetch the teacher anew, or correct `{_KEY}`")
    if size % int(config["patch_size"]):
        raise ModelError(
            f"`regularizers.crepa.encoder_image_size` is {size}, and the teacher in {folder} cuts pictures into patches of "
            f"{config['patch_size']} pixels; take a multiple of that"
        )
    return int(config["hidden_size"])


def load_teacher(folder: Path, device: torch.device) -> Dinov2Model:
    """Load the teacher in fp32.

    Raises:
        ModelError: It can't be loaded.
    """
    try:
        model: Dinov2Model = Dinov2Model.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"the teacher in {folder} can't be loaded: {error}; fetch it anew") from error
    return model.eval().requires_grad_(False).to(device)


@torch.no_grad()
def patch_features(teacher: Dinov2Model, frames: Tensor, *, size: int, at_once: int) -> Tensor:
    """Return the teacher's normalized features of each patch.

    Args:
        teacher: The teacher.
        frames: Pictures (frames, height, width, 3), uint8, RGB.
        size: They are resized to a square of so many pixels.
        at_once: Frames of one forward pass; -1 takes all.

    Returns:
        (frames, patches, channels), fp32, on the CPU; patches row by row.
    """
    device = teacher.device
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (_MEAN, _STD))
    parts = []
    for some in frames.split(len(frames) if at_once < 1 else at_once):
        pixels = some.to(device).permute(0, 3, 1, 2).float() / 255
        square = functional.interpolate(pixels, (size, size), mode="bilinear", antialias=True, align_corners=False)
        tokens = teacher(pixel_values=(square - mean) / std).last_hidden_state
        parts.append(tokens[:, 1:].float().cpu())  # the first describes the whole picture
    return torch.cat(parts)
