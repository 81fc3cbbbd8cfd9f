"""CLIP (arXiv:2103.00020) in transformers' format: says how well a picture and a text go together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional
from transformers import CLIPModel, CLIPTokenizer

from recipe_runtime.context import Context
from recipe_runtime.errors import ModelError
from recipe_runtime.models.source import model_dir, read_config


KEY = "evaluation.pretrained_model_name_or_path"
_PREPROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A model with its tokenizer, and what pictures have to be for it.

    Attributes:
        model: The model, in fp32.
        tokenizer: Its tokenizer.
        size: Height and width of a picture, in pixels.
        mean: Subtracted from each channel of pixels from 0 to 1.
        std: What they are divided by then.
        tokens: The longest text.
    """

    model: CLIPModel
    tokenizer: CLIPTokenizer
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    tokens: int


def clip_dir(ctx: Context) -> Path:
    """Return the folder of the model, downloading it when it is not local, and check that it holds a CLIP model.

    Raises:
        ModelError: It can't be had, or is something else.
    """
    name = ctx.settings.evaluation.pretrained_model_name_or_path
    if name is None:
        raise ModelError(f"`evaluation.type: clip` needs a CLIP model; set `{KEY}`")
    folder = model_dir(name, None, ctx.root, KEY)
    kind = read_config(folder / "config.json").get("model_type")
    if kind != "clip":
        raise ModelError(
            f"{folder} holds a model of type {kind} where `evaluation.type: clip` needs a clip; correct `{KEY}`"
        )
    pictures = read_config(folder / _PREPROCESSOR)
    missing = [name for name in ("image_mean", "image_std") if name not in pictures]
    if missing:
        raise ModelError(f"{folder / _PREPROCESSOR} has no {' and no '.join(missing)}; fetch the model anew")
    return folder


def load_clip(folder: Path, device: torch.device) -> Clip:
    """Load a model.

    Raises:
        ModelError: It can't be loaded.
    """
    try:
        model: CLIPModel = CLIPModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as error:
        raise ModelError(f"the CLIP model in {folder} can't be loaded: {error}; fetch it anew") from error
    pictures = read_config(folder / _PREPROCESSOR)
    return Clip(
        model=model.eval().requires_grad_(False).to(device),
        tokenizer=tokenizer,
        size=model.vision_model.embeddings.image_size,
        mean=tuple(pictures["image_mean"]),
        std=tuple(pictures["image_std"]),
        tokens=model.text_model.embeddings.position_embedding.num_embeddings,
    )


@torch.no_grad()
def clip_scores(clip: Clip, text: str, frames: Tensor) -> Sequence[float]:
    """Return 100 times the cosine of each frame and a text, no less than 0 (CLIPScore, arXiv:2104.08718, without its 2.5).

    A frame is resized so that its shorter side fits, and its middle is taken. Of a text that is too long the beginning
    counts.

    Args:
        clip: The model.
        text: The text.
        frames: (frames, height, width, 3), uint8, RGB.
    """
    device = clip.model.device
    words = clip.tokenizer(text, truncation=True, max_length=clip.tokens, return_tensors="pt").to(device)
    found = clip.model(pixel_values=_pixels(clip, frames.to(device)), **words)
    cosines = functional.cosine_similarity(found.image_embeds, found.text_embeds)
    scores: list[float] = (100 * cosines).clamp(min=0).tolist()
    return scores


def _pixels(clip: Clip, frames: Tensor) -> Tensor:
    height, width = frames.shape[1:3]
    scale = clip.size / min(height, width)
    size = (max(round(height * scale), clip.size), max(round(width * scale), clip.size))
    planes = frames.permute(0, 3, 1, 2).float()
    planes = (
        functional.interpolate(planes, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 255) / 255
    )
    top, left = (size[0] - clip.size) // 2, (size[1] - clip.size) // 2
    planes = planes[:, :, top : top + clip.size, left : left + clip.size]
    mean, std = (torch.tensor(values, device=frames.device).view(1, 3, 1, 1) for values in (clip.mean, clip.std))
    return (planes - mean) / std
