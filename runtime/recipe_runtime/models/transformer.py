"""Loads the video transformer in fp32, strictly: every weight has its place and every place its weight."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers.models.transformers.transformer_sana_video import (
    SanaVideoTransformer3DModel,
    SanaVideoTransformerBlock,
)
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from recipe_runtime.errors import ModelError
from recipe_runtime.models.by_frame import take_frames
from recipe_runtime.models.linear_attention import Fp32LinearAttention


_WEIGHTS = "diffusion_pytorch_model.safetensors"
_INDEX = "diffusion_pytorch_model.safetensors.index.json"
_FINAL_TABLE = "scale_shift_table"
_SHOWN = 3


def build_transformer(
    folder: Path, files: Iterable[Path], trained: Mapping[str, Tensor] = MappingProxyType({})
) -> SanaVideoTransformer3DModel:
    """Build a transformer by the configuration in ``folder`` and give it weights, in fp32.

    Args:
        folder: Holds its configuration.
        files: The weights.
        trained: More weights, or others in their place.

    Raises:
        ModelError: Files are missing or broken, or do not fit together.
    """
    model = empty_transformer(folder)
    weights: dict[str, Tensor] = {}
    for file in files:
        weights.update(_read(file))
    weights.update(_in_fp32(trained))
    _check(folder, expected=model.state_dict(), found=weights)
    model.load_state_dict(weights, strict=True, assign=True)
    for module in model.modules():
        if isinstance(module, SanaVideoTransformerBlock):
            module.attn1.set_processor(Fp32LinearAttention())  # type: ignore[arg-type]  # the list of types is closed
    take_frames(model)
    return model


def empty_transformer(folder: Path) -> SanaVideoTransformer3DModel:
    """Build a transformer by the configuration in ``folder``, whose weights have shapes and no values.

    Raises:
        ModelError: There is no configuration.
    """
    try:
        config = SanaVideoTransformer3DModel.load_config(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} holds no configuration of a transformer ({error}); check the model") from error
    with init_empty_weights(include_buffers=False):
        model: SanaVideoTransformer3DModel = SanaVideoTransformer3DModel.from_config(config)
    return model


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the files that hold a component's weights.

    Raises:
        ModelError: There are none, or the index is broken.
    """
    index = folder / _INDEX
    if not index.is_file():
        if not (folder / _WEIGHTS).is_file():
            raise ModelError(f"{folder} holds neither {_WEIGHTS} nor {_INDEX}; download the model again")
        return (folder / _WEIGHTS,)
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{index} is not an index of weights ({error!r}); download the model again") from error
    return tuple(folder / name for name in names)


def _read(file: Path) -> dict[str, Tensor]:
    try:
        stored = load_file(file)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} can't be read ({error}); download the model again") from error
    return _in_fp32(stored)


def _in_fp32(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # Copies, because the tensors of safetensors are views into the file.
    weights = {name: tensor.to(torch.float32, copy=True) for name, tensor in stored.items()}
    table = weights.get(_FINAL_TABLE)
    if table is not None and table.ndim == 3 and table.shape[0] == 1:
        # Some published files keep the leading axis of one that the authors' code had here.
        weights[_FINAL_TABLE] = table.squeeze(0)
    return weights


def _check(folder: Path, *, expected: Mapping[str, Any], found: Mapping[str, Tensor]) -> None:
    problems = {
        "missing": [name for name in expected if name not in found],
        "unknown": [name for name in found if name not in expected],
        "of another shape": [
            f"{name} {tuple(found[name].shape)} instead of {tuple(place.shape)}"
            for name, place in expected.items()
            if name in found and found[name].shape != place.shape
        ],
    }
    lines = [_list(kind, names) for kind, names in problems.items() if names]
    if lines:
        raise ModelError(
            f"the weights in {folder} do not fit its config.json: {'; '.join(lines)}; take weights and configuration "
            "from one source"
        )


def _list(kind: str, names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return f"{len(names)} {kind} ({shown})"
