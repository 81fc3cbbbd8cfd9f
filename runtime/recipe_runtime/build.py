"""Builds the models of a run as its settings ask for: the transformer that is trained, text encoder and VAE.

Of the transformer all weights are trained, or its biases alone, or an adapter beside frozen weights.
"""

from collections.abc import Mapping

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.transformers.transformer_sana_video import SanaVideoTransformer3DModel
from torch import Tensor, nn

from recipe_runtime.context import Context
from recipe_runtime.models.adapter import adapter_file, add_adapter, load_adapter, target_layers
from recipe_runtime.models.checkpointing import enable_checkpointing
from recipe_runtime.models.compiled import compile_blocks
from recipe_runtime.models.frozen import quantize_weights, store_in_bf16
from recipe_runtime.models.offload import in_blocks, in_leaves, offload
from recipe_runtime.models.source import pipeline_dir, transformer_dir, vae_dir
from recipe_runtime.models.split import SPLITTING, Halves, first_halves, halves_of, take_out
from recipe_runtime.models.text import TextEncoder
from recipe_runtime.models.trained import train_biases, trained_parameters
from recipe_runtime.models.transformer import build_transformer, empty_transformer, weight_files
from recipe_runtime.models.vae import load_vae


_BLOCKS = "transformer_blocks.*"
"""What is quantized: 98 % of the 2B model's weights. Embeddings and output layer are small, and errors there spread."""


_TEXT_LAYERS = "layers.*"
"""What is quantized of the text encoder: all but the table of its tokens."""


def build_model(ctx: Context, split: Mapping[str, Tensor] | None = None) -> SanaVideoTransformer3DModel:
    """Build the transformer of a training that begins, on its device and in training mode.

    Args:
        ctx: The run.
        split: What a training that goes on took out of the weights when it began, where its adapter begins with a part of
            them. Without it, that is found anew.

    Raises:
        ModelError: Weights or adapter are missing or broken, or do not fit together.
    """
    settings, folder = ctx.settings, transformer_dir(ctx)
    model = build_transformer(folder, weight_files(folder))
    if settings.model.type == "lora":
        halves = _split_weights(model, ctx, split) if splits_weights(ctx) else None
        model.requires_grad_(False)
        _store_frozen(model, ctx)
        _put_adapter(model, ctx, halves)
    elif settings.train.layer_freeze_strategy == "bitfit":
        train_biases(model)
        _store_frozen(model, ctx)
    if settings.model.type == "lora" and settings.memory.group_offload.enabled:
        groups, blocks = settings.memory.group_offload, list(model.transformer_blocks)
        by_block = groups.type == "block_level"
        _offload(model, ctx, in_blocks(blocks, groups.blocks_per_group) if by_block else in_leaves(blocks))
    else:
        model.to(ctx.device)  # type: ignore[arg-type]  # diffusers wraps `to` and loses its types
    if settings.memory.gradient_checkpointing:
        enable_checkpointing(model, interval=settings.memory.gradient_checkpointing_interval)
    if settings.hardware.compile != "no":
        compile_blocks(model, settings.hardware.compile, ctx.device)
    return model.train()


def splits_weights(ctx: Context) -> bool:
    """Say whether the adapter that is trained begins with a part of the weights."""
    return ctx.settings.model.type == "lora" and ctx.settings.model.lora.init in SPLITTING


def build_vae(ctx: Context, *, rests_on: torch.device) -> AutoencoderKLWan:
    """Build the VAE.

    Args:
        ctx: The run.
        rests_on: Where it is put, unless its weights are offloaded. Then they wait, and it computes on the run's device.

    Raises:
        ModelError: It can't be loaded.
    """
    settings = ctx.settings
    away = settings.memory.group_offload.enabled and settings.memory.group_offload.vae
    place = torch.device("cpu") if away else rests_on
    tiling, slicing = settings.memory.vae_tiling, settings.memory.vae_slicing
    vae = load_vae(vae_dir(ctx), settings.model.vae_dtype, place, tiling=tiling, slicing=slicing)
    if away:
        _offload(vae, ctx, in_leaves([vae]))
    return vae


def build_text_encoder(ctx: Context) -> TextEncoder:
    """Build the text encoder with its tokenizer.

    Raises:
        ModelError: They can't be loaded.
    """
    model, groups = ctx.settings.model, ctx.settings.memory.group_offload
    away = groups.enabled and groups.text_encoder
    text = TextEncoder(pipeline_dir(ctx), model.text_encoder_dtype, torch.device("cpu") if away else ctx.device)
    if model.text_encoder_precision != "no_change":
        quantize_weights(text.encoder, model.text_encoder_precision, layers=_TEXT_LAYERS)
    if away:
        layers = list(text.encoder.layers)
        by_block = groups.type == "block_level"
        _offload(text.encoder, ctx, in_blocks(layers, groups.blocks_per_group) if by_block else in_leaves(layers))
        text.computes_on(ctx.device)
    return text


def adapter_parameters(ctx: Context) -> int:
    """Count the adapter's parameters, and check that the model can have it. No weights are loaded.

    Raises:
        ModelError: A target means no layer, or the adapter to go on from is missing or does not fit.
    """
    model = empty_transformer(transformer_dir(ctx))
    _put_adapter(model, ctx)
    return sum(parameter.numel() for parameter in trained_parameters(model).values())


def _split_weights(model: SanaVideoTransformer3DModel, ctx: Context, split: Mapping[str, Tensor] | None) -> Halves:
    lora = ctx.settings.model.lora
    layers = target_layers(model, lora.target_modules, lora.type)
    halves = first_halves(model, layers, lora) if split is None else halves_of(split)
    take_out(model, halves, lora)
    return halves


def _store_frozen(model: SanaVideoTransformer3DModel, ctx: Context) -> None:
    if ctx.settings.train.mixed_precision == "bf16":
        store_in_bf16(model)
    precision = ctx.settings.model.base_model_precision
    if precision != "no_change":
        model.to(ctx.device if ctx.settings.model.quantize_via == "accelerator" else torch.device("cpu"))  # type: ignore[arg-type]  # as above
        quantize_weights(model, precision, layers=_BLOCKS)


def _offload(model: nn.Module, ctx: Context, units: list[list[nn.Module]]) -> None:
    """Let the frozen weights of some layers wait. The rest is small, and stays on the run's device."""
    settings = ctx.settings.memory.group_offload
    offload(
        model,
        units,
        device=ctx.device,
        use_stream=settings.use_stream,
        folder=None if settings.to_disk_path is None else ctx.resolve(settings.to_disk_path),
    )


def _put_adapter(model: SanaVideoTransformer3DModel, ctx: Context, halves: Halves | None = None) -> None:
    lora = ctx.settings.model.lora
    add_adapter(model, lora, seed=ctx.settings.train.seed, halves=halves)
    if lora.init_from is not None:
        load_adapter(model, adapter_file(ctx.resolve(lora.init_from)), lora)
