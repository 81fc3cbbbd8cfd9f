"""Builds the transformer that is trained: all of it, or frozen weights with an adapter beside them."""

import torch
from diffusers.models.transformers.transformer_sana_video import SanaVideoTransformer3DModel

from recipe_runtime.context import Context
from recipe_runtime.models.adapter import add_adapter, adapter_file, load_adapter
from recipe_runtime.models.checkpointing import enable_checkpointing
from recipe_runtime.models.frozen import quantize_weights, store_in_bf16
from recipe_runtime.models.offload import in_blocks, in_leaves, offload
from recipe_runtime.models.source import transformer_dir
from recipe_runtime.models.transformer import build_transformer, empty_transformer, weight_files
from recipe_runtime.models.trained import trained_parameters


_BLOCKS = "transformer_blocks.*"
"""What is quantized: 98 % of the 2B model's weights. Embeddings and output layer are small, and errors there spread."""


def build_model(ctx: Context) -> SanaVideoTransformer3DModel:
    """Build the transformer of a training that begins, on its device and in training mode.

    Raises:
        ModelError: Weights or adapter are missing or broken, or do not fit together.
    """
    settings, folder = ctx.settings, transformer_dir(ctx)
    model = build_transformer(folder, weight_files(folder))
    if settings.model.type == "lora":
        _store_frozen(model, ctx)
        _put_adapter(model, ctx)
    if settings.model.type == "lora" and settings.memory.group_offload.enabled:
        _offload(model, ctx)
    else:
        model.to(ctx.device)  # type: ignore[arg-type]  # diffusers wraps `to` and loses its types
    if settings.memory.gradient_checkpointing:
        enable_checkpointing(model, interval=settings.memory.gradient_checkpointing_interval)
    return model.train()


def adapter_parameters(ctx: Context) -> int:
    """Count the adapter's parameters, and check that the model can have it. No weights are loaded.

    Raises:
        ModelError: A target means no layer, or the adapter to go on from is missing or does not fit.
    """
    model = empty_transformer(transformer_dir(ctx))
    _put_adapter(model, ctx)
    return sum(parameter.numel() for parameter in trained_parameters(model).values())


def _store_frozen(model: SanaVideoTransformer3DModel, ctx: Context) -> None:
    model.requires_grad_(False)
    if ctx.settings.train.mixed_precision == "bf16":
        store_in_bf16(model)
    precision = ctx.settings.model.base_model_precision
    if precision != "no_change":
        model.to(ctx.device if ctx.settings.model.quantize_via == "accelerator" else torch.device("cpu"))  # type: ignore[arg-type]  # as above
        quantize_weights(model, precision, layers=_BLOCKS)


def _offload(model: SanaVideoTransformer3DModel, ctx: Context) -> None:
    """Let the blocks' frozen weights wait. What comes before and after the blocks is small, and stays."""
    settings, blocks = ctx.settings.memory.group_offload, list(model.transformer_blocks)
    offload(
        model,
        in_blocks(blocks, settings.blocks_per_group) if settings.type == "block_level" else in_leaves(blocks),
        device=ctx.device,
        use_stream=settings.use_stream,
        folder=None if settings.to_disk_path is None else ctx.resolve(settings.to_disk_path),
    )


def _put_adapter(model: SanaVideoTransformer3DModel, ctx: Context) -> None:
    lora = ctx.settings.model.lora
    add_adapter(model, lora, seed=ctx.settings.train.seed)
    if lora.init_from is not None:
        load_adapter(model, adapter_file(ctx.resolve(lora.init_from)), lora)
