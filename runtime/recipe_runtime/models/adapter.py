"""LoRA (arXiv:2106.09685): low-rank changes beside frozen weights, W x + (alpha / rank) · B (A x), through peft.

With DoRA (arXiv:2402.09353) the direction (W + (alpha / rank) · B A) / |W + …| is trained apart from the length m of each
row. Other forms are in `recipe_runtime.models.lokr` and, for how LoRA begins, `recipe_runtime.models.split`. Adapters are
stored as diffusers does: ``pytorch_lora_weights.safetensors``, names that begin with ``transformer.``, and peft's
configuration in the file's metadata.
"""

import json
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.sana_video.pipeline_sana_video import SanaVideoPipeline
from peft import LoraConfig, PeftConfig
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from recipe_runtime.errors import ModelError
from recipe_runtime.exported import ADAPTER_FILE
from recipe_runtime.models import lokr
from recipe_runtime.models.split import Halves, put_in, whole_change
from recipe_runtime.models.trained import trained_parameters
from recipe_runtime.randomness import generator
from recipe_schema.layers import is_target
from recipe_schema.sections.model import Lora


_NAME = "default"
_PREFIX = "transformer."
_FIRST = ".lora_A."
_MAGNITUDE = ".lora_magnitude_vector"
_STORED = ("r", "lora_alpha", "lora_dropout", "init_lora_weights", "use_dora", "bias")
_SHOWN = 3
_WIDE = {"standard": "full convolution", "lokr": "two-dimensional convolution"}


def add_adapter(model: ModelMixin, settings: Lora, *, seed: int, halves: Halves | None = None) -> None:
    """Freeze a model and put a new adapter beside its weights, in fp32. The model computes what it did before.

    Args:
        model: The transformer. One on the meta device gets an adapter without values.
        settings: Rank, alpha, dropout, targets and how it begins.
        seed: The run's seed.
        halves: What the adapter begins with where it was taken out of the weights.

    Raises:
        ModelError: A target means no layer that can have an adapter.
    """
    layers = target_layers(model, settings.target_modules, settings.type)
    model.requires_grad_(False)
    model.add_adapter(_peft_config(settings, layers), adapter_name=_NAME)
    _plain_convolutions(model)
    lokr.keep_autocast(model)
    for name, parameter in trained_parameters(model).items():
        parameter.data = parameter.data.float()
        if parameter.is_meta:
            continue
        draw = generator(seed, "lora", name)
        if settings.type == "lokr":
            parameter.data.copy_(lokr.first_lokr_values(name, parameter, draw))
        elif _FIRST in name:
            parameter.data.copy_(_first_values(parameter, settings, draw))
    if halves is not None:
        put_in(model, halves)


def target_layers(model: nn.Module, targets: Collection[str], form: str) -> tuple[str, ...]:
    """Return the names of the layers that targets mean, in the model's order.

    Layers that can have an adapter are the linear ones and convolutions. LoRA can't have those that take each channel
    alone: there a change of rank r would need r groups as well.

    Args:
        model: The transformer.
        targets: Names of layers, their ends, and patterns of both.
        form: The adapter's form, as in ``model.lora.type``.

    Raises:
        ModelError: A target means none, or there is no target.
    """
    if not targets:
        raise ModelError("`model.lora.target_modules` is empty, so nothing would be trained; name layers, as `to_q`")
    able = [name for name, module in model.named_modules() if _can_adapt(module, form)]
    chosen: set[str] = set()
    for target in targets:
        found = [name for name in able if is_target(target, name)]
        if not found:
            raise ModelError(
                f"`model.lora.target_modules` names {target}, which is no linear layer and no {_WIDE[form]} of the "
                f"transformer; it has {', '.join(sorted({_short(name) for name in able}))}"
            )
        chosen.update(found)
    return tuple(name for name in able if name in chosen)


def load_adapter(model: nn.Module, file: Path, settings: Lora) -> None:
    """Give a model's adapter the values of a stored one.

    Args:
        model: A model with an adapter, see `add_adapter`. One on the meta device is only compared with the file.
        file: The adapter, in diffusers' format.
        settings: What the adapter has to be like.

    Raises:
        ModelError: It can't be read, or is of other layers, rank or scale.
    """
    found, config = _read(file)
    parameters = {_public_name(name): parameter for name, parameter in trained_parameters(model).items()}
    wrong = sorted(
        name
        for name in {*found, *parameters}
        if name not in found or name not in parameters or found[name].shape != parameters[name].shape
    )
    if wrong:
        shown = ", ".join(wrong[:_SHOWN]) + (", …" if len(wrong) > _SHOWN else "")
        raise ModelError(
            f"the adapter in {file} does not fit `model.lora`: {len(wrong)} tensors are missing, unknown or of another "
            f"shape ({shown}); give it the rank and target_modules that the adapter was trained with"
        )
    # An adapter without a configuration is one with alpha = rank, for diffusers too.
    alpha = "alpha" if settings.type == "lokr" else "lora_alpha"
    scale = config[alpha] / config["r"] if config else 1.0
    if not math.isclose(scale, settings.alpha / settings.rank):
        raise ModelError(
            f"the adapter in {file} is scaled by {scale:g} (alpha / rank) and `model.lora` says "
            f"{settings.alpha / settings.rank:g}; set `model.lora.alpha: {scale * settings.rank:g}`"
        )
    for name, parameter in parameters.items():
        if not parameter.is_meta:
            parameter.data.copy_(found[name])


def adapter_file(place: Path) -> Path:
    """Return the file of an adapter that is given as a folder or a file.

    Raises:
        ModelError: There is none.
    """
    file = place / ADAPTER_FILE if place.is_dir() else place
    if not file.is_file():
        raise ModelError(
            f"`model.lora.init_from` names {place}, and there is no {file}; name the folder that holds {ADAPTER_FILE}, "
            "or the file itself"
        )
    return file


def save_adapter(
    folder: Path, weights: Mapping[str, Tensor], settings: Lora, split: Mapping[str, Tensor] | None = None
) -> None:
    """Write an adapter in diffusers' format.

    Args:
        folder: Where the file is written.
        weights: Its parameters by their names in the model.
        settings: The adapter's settings.
        split: What the adapter began with, where that was taken out of the weights. It is written as one of twice the
            rank, which loads into the weights as they were.
    """
    layers = adapted_layers(weights)
    config = _peft_config(settings, layers, times=1 if split is None else 2).to_dict()
    weights = weights if split is None else whole_change(weights, split)
    stored = lokr.STORED if settings.type == "lokr" else _STORED
    SanaVideoPipeline.save_lora_weights(
        folder,
        transformer_lora_layers={_public_name(name).removeprefix(_PREFIX): value for name, value in weights.items()},
        # No more than matters: an older peft refuses what it does not know.
        transformer_lora_adapter_metadata={**{name: config[name] for name in stored}, "target_modules": list(layers)},
    )


def adapted_layers(weights: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the layers that an adapter changes, in order, from the names of its parameters."""
    parts = (_FIRST, *lokr.PARTS)
    return tuple(sorted({name.partition(part)[0] for name in weights for part in parts if part in name}))


def _short(name: str) -> str:
    """Return the end of a name by which people know a layer, as in ``to_q`` or ``to_out.0``."""
    parts = name.split(".")
    return ".".join(parts[-2:] if parts[-1].isdigit() else parts[-1:])


def _can_adapt(module: nn.Module, form: str) -> bool:
    if isinstance(module, nn.Conv3d):  # peft's LoKr has no layer for them
        return form == "standard"
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and (module.groups == 1 or form == "lokr"))


def _peft_config(settings: Lora, layers: Iterable[str], *, times: int = 1) -> PeftConfig:
    """Describe the adapter for peft. Layers go by their full names, so that nobody reads a pattern otherwise.

    With ``times``, rank and alpha are so many times those of the settings.
    """
    if settings.type == "lokr":
        return lokr.lokr_config(settings, layers)
    alpha = settings.alpha * times
    return LoraConfig(
        r=settings.rank * times,
        lora_alpha=int(alpha) if alpha == int(alpha) else alpha,  # type: ignore[arg-type]  # peft takes both
        lora_dropout=settings.dropout,
        init_lora_weights="gaussian" if settings.init == "gaussian" else True,
        target_modules=list(layers),
        use_dora=settings.use_dora,
    )


def _plain_convolutions(model: nn.Module) -> None:
    """Make the adapter's convolutions ordinary ones. peft takes the class of the layer, which may be a quantized one."""
    for layer in list(model.modules()):
        if isinstance(layer, LoraLayer):
            for halves in (layer.lora_A, layer.lora_B):
                half = halves[_NAME]
                if isinstance(half, nn.Conv2d) and type(half) is not nn.Conv2d:
                    halves[_NAME] = _like(half)


def _like(conv: nn.Conv2d) -> nn.Conv2d:
    sizes: Any = {name: getattr(conv, name) for name in ("kernel_size", "stride", "padding", "dilation")}
    plain = nn.Conv2d(conv.in_channels, conv.out_channels, **sizes, bias=False, device="meta")
    plain.weight = conv.weight
    return plain


def _first_values(parameter: Tensor, settings: Lora, draw: torch.Generator) -> Tensor:
    """Draw A, as peft does: uniform as a linear layer begins, or normal with deviation 1 / rank. B begins as zero."""
    values = torch.empty(parameter.shape)
    if settings.init == "gaussian":
        return nn.init.normal_(values, std=1 / settings.rank, generator=draw)
    return nn.init.kaiming_uniform_(values, a=math.sqrt(5), generator=draw)


def _public_name(name: str) -> str:
    """Return the name that a parameter has in a file: without peft's name of the adapter."""
    plain = name.replace(f".{_NAME}.", ".").removesuffix(f".{_NAME}")
    return _PREFIX + (plain.removesuffix(".weight") if _MAGNITUDE in plain else plain)


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read an adapter's tensors, and its configuration if it has one."""
    try:
        with safe_open(file, framework="pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - it is no mapping
            packed = json.loads((stored.metadata() or {}).get(LORA_ADAPTER_METADATA_KEY, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"the adapter {file} can't be read ({error}); fetch it again") from error
    return tensors, {name.removeprefix(_PREFIX): value for name, value in packed.items()}
