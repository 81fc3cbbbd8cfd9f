"""How much a run will write, and whether the disks have room for it."""

import json
import os
import shutil
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from recipe_runtime.build import adapter_parameters
from recipe_runtime.context import Context
from recipe_runtime.encode_features import feature_index, has_teacher
from recipe_runtime.encode_text import text_items
from recipe_runtime.encode_video import latent_index
from recipe_runtime.models.source import component_dir, pipeline_dir, read_config, transformer_dir, vae_dir
from recipe_runtime.models.split import SPLITTING
from recipe_runtime.models.teacher import teacher_dir, teacher_width
from recipe_schema.optimizers import STORAGE
from recipe_schema.recipe import Settings
from recipe_schema.shards import NOTED


_FP32 = 4
"""Bytes of a value of latents, weights, moments and average."""

_FP16 = 2
"""Bytes of a value of a teacher's features."""

_BF16 = 2
"""Bytes of a frozen weight under bf16 training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Bytes that a run will write below a folder, and what they are for."""

    folder: Path
    bytes: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """A disk that is too small. ``parts`` says what is written there, for people."""

    folder: Path
    free_bytes: int
    needed_bytes: int
    parts: str


def estimate_needs(ctx: Context) -> tuple[Need, ...]:
    """Estimate what the run still has to write.

    A model that is yet to be built from random weights is small, and so is what is made of it: nothing is
    estimated for it.
    """
    if ctx.facts["random_weights"] is not None:
        return ()
    return (
        *estimate_encoding(ctx),
        Need(folder=ctx.run_dir, bytes=_checkpoint_bytes(ctx), what="checkpoints"),
        Need(folder=ctx.run_dir, bytes=_export_bytes(ctx), what="the exported model"),
        *_features(ctx),
        *_offloaded(ctx),
    )


def estimate_encoding(ctx: Context) -> tuple[Need, ...]:
    """Estimate what the encode stages still have to write into the store."""
    if ctx.facts["random_weights"] is not None:
        return ()
    return (
        Need(folder=ctx.store.folder, bytes=_latent_bytes(ctx), what="latents"),
        Need(folder=ctx.store.folder, bytes=_text_bytes(ctx), what="text embeddings"),
    )


def missing_space(needs: Sequence[Need]) -> Iterator[Shortage]:
    """Yield every disk that has less room than is needed on it. Folders on the same disk count together."""
    disks: dict[int, list[Need]] = {}
    for need in needs:
        disks.setdefault(os.stat(_existing(need.folder)).st_dev, []).append(need)
    for together in disks.values():
        folder = _existing(together[0].folder)
        free, needed = shutil.disk_usage(folder).free, sum(need.bytes for need in together)
        if needed > free:
            parts = ", ".join(f"{need.what} {need.bytes / 1e9:.1f} GB" for need in together)
            yield Shortage(folder=folder, free_bytes=free, needed_bytes=needed, parts=parts)


def parameter_count(folder: Path) -> int:
    """Count the values in a component's safetensors files, from their headers alone."""
    return sum(map(prod, weight_shapes(folder)))


def state_bytes(shapes: Sequence[Sequence[int]], settings: Settings) -> int:
    """Return the size of a checkpoint of weights of these shapes: these, the optimizer's memory, and averages."""
    storage = STORAGE[settings.optimizer.name]
    split = settings.model.type == "lora" and settings.model.lora.init in SPLITTING
    averages = int(settings.ema.enabled) + int(settings.optimizer.name == "schedule-free") + int(split)
    whole = sum(map(prod, shapes)) * (storage.weight + storage.full + _FP32 * averages)
    factored = storage.factored and sum(
        prod(shape) * _FP32 if len(shape) <= 1 else _factors(shape) * _FP32 * storage.factored for shape in shapes
    )
    return int(whole + factored)


def _latent_bytes(ctx: Context) -> int:
    """Estimate latents from above: what compression saves is not counted."""
    index, vae = latent_index(ctx), ctx.facts["vae"]
    total = 0
    by_key = {index[row.clip_id]: row for row in (*ctx.windows, *ctx.eval_windows)}
    missing = ctx.store.missing("latents", by_key.keys())
    for key, row in by_key.items():
        if key in missing:
            frames = (row.bucket_frames - 1) // vae["temporal"] + 1
            area = (row.bucket_height // vae["spatial"]) * (row.bucket_width // vae["spatial"])
            total += vae["channels"] * frames * area * _FP32 + NOTED
    return total


def _features(ctx: Context) -> Iterator[Need]:
    """Estimate the features of a teacher: so many patches of each latent frame, in fp16."""
    if not has_teacher(ctx):
        return
    index, patch = feature_index(ctx), int(read_config(teacher_dir(ctx) / "config.json")["patch_size"])
    each = (ctx.settings.regularizers.crepa.encoder_image_size // patch) ** 2 * teacher_width(ctx) * _FP16
    by_key = {index[row.clip_id]: row for row in ctx.windows}
    missing = [by_key[key] for key in ctx.store.missing("features", by_key.keys())]
    frames = sum((row.bucket_frames - 1) // ctx.facts["vae"]["temporal"] + 1 for row in missing)
    yield Need(folder=ctx.store.folder, bytes=frames * each + len(missing) * NOTED, what="the teacher's features")


def _text_bytes(ctx: Context) -> int:
    """Estimate text embeddings from above: every text at full length."""
    config = read_config(component_dir(pipeline_dir(ctx), "text_encoder") / "config.json")
    missing = ctx.store.missing("text", [item.key for item in text_items(ctx)])
    return len(missing) * (int(ctx.facts["max_sequence_length"]) * int(config["hidden_size"]) * _FP32 + NOTED)


def _checkpoint_bytes(ctx: Context) -> int:
    """Estimate checkpoints: one more than are kept while the next is written."""
    checkpoints, steps = ctx.settings.checkpoints, ctx.plan.body.schedule.max_steps
    count = -(-steps // checkpoints.step_interval)
    if checkpoints.epoch_interval is not None:
        count += ctx.plan.body.schedule.intervals(steps, checkpoints.epoch_interval)
    if checkpoints.total_limit is not None:
        count = min(count, checkpoints.total_limit + 1)
    if checkpoints.rolling_steps is not None:
        count += min(checkpoints.rolling_total_limit, steps // checkpoints.rolling_steps)
    one = state_bytes(_trained_shapes(ctx), ctx.settings)
    return max(0, count * one - _used(ctx.run_dir / "checkpoints"))


def _export_bytes(ctx: Context) -> int:
    adapter = 0
    if ctx.settings.model.type == "lora":
        adapter = (2 if ctx.settings.model.lora.init in SPLITTING else 1) * adapter_parameters(ctx) * _FP32
        if not ctx.settings.model.lora.merge:
            return max(0, adapter - _used(ctx.run_dir / "export"))
    home = pipeline_dir(ctx)
    copied = _used(vae_dir(ctx)) + sum(_used(component_dir(home, name)) for name in ("tokenizer", "text_encoder"))
    trained = parameter_count(transformer_dir(ctx)) * _FP32
    return max(0, adapter + copied + trained - _used(ctx.run_dir / "export"))


def _trained_shapes(ctx: Context) -> Sequence[Sequence[int]]:
    if ctx.settings.model.type == "lora":  # of each matrix one side is the rank
        rank = ctx.settings.model.lora.rank
        return [[adapter_parameters(ctx) // rank, rank]]
    shapes = weight_shapes(transformer_dir(ctx))
    if ctx.settings.train.layer_freeze_strategy == "bitfit":  # of one axis are biases and norms
        return [shape for shape in shapes if len(shape) == 1]
    return list(shapes)


def _offloaded(ctx: Context) -> Iterator[Need]:
    """Estimate frozen weights that wait in files, from above: all of them, and none there yet."""
    groups, bf16 = ctx.settings.memory.group_offload, ctx.settings.train.mixed_precision == "bf16"
    if ctx.settings.model.type == "lora" and groups.enabled and groups.to_disk_path is not None:
        needed = parameter_count(transformer_dir(ctx)) * (_BF16 if bf16 else _FP32)
        folder = ctx.resolve(groups.to_disk_path)
        yield Need(folder=folder, bytes=max(0, needed - _used(folder)), what="offloaded weights")


def _used(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def weight_shapes(folder: Path) -> Iterator[list[int]]:
    """Yield the shapes of a component's weights, from the headers of its safetensors files."""
    for path in folder.glob("*.safetensors"):
        yield from (entry["shape"] for name, entry in _header(path).items() if name != "__metadata__")


def _factors(shape: Sequence[int]) -> int:
    """Count the rows and columns of the last two axes."""
    return prod(shape[:-1]) + prod(shape[:-2]) * shape[-1]


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _header(path: Path) -> dict[str, dict[str, list[int]]]:
    """Read the header of a safetensors file: its length in 8 bytes, little-endian, then JSON."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, dict[str, list[int]]] = json.loads(file.read(length))
        return header
