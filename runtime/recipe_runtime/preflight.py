"""Checks before any model is loaded: is what the plan was made from still there, and is there room for the run."""

import hashlib
import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from recipe_runtime import resume
from recipe_runtime.build import adapter_parameters
from recipe_runtime.context import Context
from recipe_runtime.encode_features import has_teacher
from recipe_runtime.errors import ModelError, PlanRefused, RunError
from recipe_runtime.models.adapter import adapter_file
from recipe_runtime.models.clip_model import clip_dir
from recipe_runtime.models.compiled import check_compiler
from recipe_runtime.models.frozen import COMPILED
from recipe_runtime.models.packed import FORMATS, check_torchao
from recipe_runtime.models.sampler import load_scheduler
from recipe_runtime.models.source import check_index, component_dir, pipeline_dir, read_config, transformer_dir, vae_dir
from recipe_runtime.models.teacher import teacher_width
from recipe_runtime.models.tiny_decoder import find_tiny_decoder, load_tiny_decoder
from recipe_runtime.models.transformer import weight_files
from recipe_runtime.optim import missing_package
from recipe_runtime.space import Need, estimate_encoding, estimate_needs, missing_space
from recipe_schema.ledger import ClipRow, ledger_digest
from recipe_schema.optimizers import PACKAGES
from recipe_schema.sections.evaluation import LINEAR


_NAMED = 3
"""Changed clips that a message names; the rest are counted."""

_ALWAYS_READ = -1
"""A time of change that no file has: its content is compared."""

_ANEW = "make the plan anew with `recipe plan RECIPE`"


def check(ctx: Context) -> None:
    """Run all checks, cheapest first.

    Raises:
        PlanRefused: Ledger, clips or first frames are not those of the plan.
        ModelError: The model is not there and can't be had.
        CheckpointError: The checkpoint to go on from is not there, or broken.
        RunError: A folder can't be written, or the disk is too small.
    """
    check_ledger(ctx)
    check_clips(ctx)
    check_images(ctx)
    check_quantization(ctx)
    check_optimizer(ctx)
    check_devices(ctx)
    if ctx.settings.hardware.compile != "no":
        check_compiler(ctx.device, ctx.settings.hardware.compile)
    resume.check(ctx)
    for folder in written_folders(ctx):
        check_writable(folder)
    if has_teacher(ctx):
        teacher_width(ctx)
    if ctx.settings.evaluation.type == "clip" and ctx.plan.execution.prompts:
        clip_dir(ctx)
    if ctx.facts["random_weights"] is None:
        check_model(ctx)
    else:
        check_given(ctx)
    check_preview(ctx)
    check_space(estimate_needs(ctx))


def check_encoding(ctx: Context) -> None:
    """Run the checks that the encode stages need: of the model, only text encoder and VAE have to be there.

    Raises:
        PlanRefused: The ledger or the clips are not those of the plan.
        ModelError: A part of the model is not there and can't be had.
        RunError: The store can't be written, or its disk is too small.
    """
    check_ledger(ctx)
    check_clips(ctx)
    check_quantization(ctx)
    check_writable(ctx.store.folder)
    if ctx.facts["random_weights"] is None:
        check_encoders(ctx)
    check_space(estimate_encoding(ctx))


def check_encoders(ctx: Context) -> None:
    """Check that what turns texts and clips into values is there, downloading it where it is not.

    Raises:
        ModelError: It is not there and can't be had.
    """
    home = pipeline_dir(ctx)
    check_index(home)
    for component in ("tokenizer", "text_encoder"):
        component_dir(home, component)
    vae_dir(ctx)


def written_folders(ctx: Context) -> tuple[Path, ...]:
    """Return the folders that a run writes into."""
    groups = ctx.settings.memory.group_offload
    if groups.enabled and groups.to_disk_path is not None:
        return ctx.run_dir, ctx.store.folder, ctx.resolve(groups.to_disk_path)
    return ctx.run_dir, ctx.store.folder


def check_ledger(ctx: Context) -> None:
    """Check that the ledger beside the plan is the one that the plan was frozen with."""
    found, expected = ledger_digest(ctx.rows), ctx.plan.body.ledger_digest
    if found != expected:
        raise PlanRefused(f"the ledger beside the plan has digest {found} where the plan states {expected}; {_ANEW}")


def check_clips(ctx: Context) -> None:
    """Check that every trained clip, and its mask if it has one, is there and unchanged.

    A file is read only where its modification time differs from the ledger's.
    """
    changes = [change for row in ctx.rows if (change := _changed_clip(ctx, row)) is not None]
    if changes:
        named = ", ".join(changes[:_NAMED])
        rest = f" and {len(changes) - _NAMED} more" if len(changes) > _NAMED else ""
        raise PlanRefused(
            f"{len(changes)} of {len(ctx.rows)} clips changed since the plan was made: {named}{rest}; {_ANEW}"
        )


def check_images(ctx: Context) -> None:
    """Check that each picture from which validation clips start is there and unchanged."""
    for prompt in ctx.plan.execution.prompts:
        image = prompt.image
        if image is not None:
            change = _change(ctx.resolve(image.path), image.size_bytes, _ALWAYS_READ, image.sha256)
            if change is not None:
                raise PlanRefused(
                    f"the first frame of prompt `{prompt.nickname}` is not that of the plan: {change}; {_ANEW}"
                )


def check_writable(folder: Path) -> None:
    """Check that files can be made in a folder, or in the nearest one above it that exists."""
    place = folder
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise RunError(
            f"{folder} can't be written: {place} is not a folder that this user may write; correct its rights, or "
            "name another place in `output_dir`, `data.store_dir` or `memory.group_offload.to_disk_path`"
        )


def check_model(ctx: Context) -> None:
    """Check that all parts of the model are there, downloading them where they are not.

    Those that are used late count in particular: the index is copied after the last step of training, and the
    scheduler draws the first clip.
    """
    check_encoders(ctx)
    load_scheduler(component_dir(pipeline_dir(ctx), "scheduler"))
    weight_files(transformer_dir(ctx))
    check_channels(ctx)
    if ctx.settings.model.type == "lora":
        adapter_parameters(ctx)


def check_preview(ctx: Context) -> None:
    """Check that the decoder of previews is there, downloading it where it is not.

    Raises:
        ModelError: It is not there and can't be had, or is another model.
    """
    preview = ctx.settings.validation.preview
    if preview.enabled and preview.decoder != LINEAR and ctx.plan.execution.prompts:
        load_tiny_decoder(find_tiny_decoder(preview.decoder, ctx.root), torch.device("cpu"))


def check_quantization(ctx: Context) -> None:
    """Check that what quantizes weights is there: torchao, or a compiler, as quanto compiles what unpacks few bits.

    Raises:
        ModelError: It is not.
    """
    model = ctx.settings.model
    asked = {"model.text_encoder_precision": model.text_encoder_precision}
    if model.type == "lora":
        asked["model.base_model_precision"] = model.base_model_precision
    compiler = "nvcc" if ctx.device.type == "cuda" else "c++"
    for key, precision in asked.items():
        if precision in FORMATS:
            check_torchao(key, precision)
        if precision in COMPILED and shutil.which(compiler) is None:
            raise ModelError(
                f"`{key}: {precision}` compiles a kernel when it is first used, and there is no {compiler} on the PATH; "
                "install it, or take `int8-quanto`, which needs none"
            )


def check_optimizer(ctx: Context) -> None:
    """Check that the optimizer's package is there, if it is not one that each installation has.

    Raises:
        PlanRefused: It is not.
    """
    name = ctx.settings.optimizer.name
    if name in PACKAGES and importlib.util.find_spec(PACKAGES[name]) is None:
        raise PlanRefused(missing_package(name, "it is not installed"))


def check_devices(ctx: Context) -> None:
    """Check that each process of a training on CUDA gets a device of its own.

    Raises:
        RunError: There are too few.
    """
    processes = ctx.settings.launch.processes
    if ctx.device.type == "cuda" and torch.cuda.device_count() < processes:
        raise RunError(
            f"`launch.processes: {processes}` needs as many CUDA devices, and torch finds {torch.cuda.device_count()}; lower "
            "it, and raise `train.gradient_accumulation_steps` to keep the samples of a step"
        )


def check_given(ctx: Context) -> None:
    """Check what a model that is yet to be built from random weights does not bring along: what is given beside it.

    Raises:
        ModelError: The transformer or the adapter to start from is not there.
    """
    model = ctx.settings.model
    if model.pretrained_transformer_model_name_or_path != model.pretrained_model_name_or_path:
        transformer_dir(ctx)
    if model.type == "lora" and model.lora.init_from is not None:
        adapter_file(ctx.resolve(model.lora.init_from))


def check_channels(ctx: Context) -> None:
    """Check that the transformer takes what VAE and text encoder give.

    Raises:
        ModelError: It takes another number of channels.
    """
    home = pipeline_dir(ctx)
    path = transformer_dir(ctx) / "config.json"
    transformer = read_config(path)
    text_encoder = read_config(component_dir(home, "text_encoder") / "config.json")
    given = {"in_channels": ctx.facts["vae"]["channels"], "caption_channels": text_encoder["hidden_size"]}
    for name, channels in given.items():
        # A configuration may leave out what is the class's default.
        if name in transformer and transformer[name] != channels:
            source = "VAE" if name == "in_channels" else "text encoder"
            raise ModelError(
                f"{path} has {name} {transformer[name]} where the {source} gives {channels} channels; take all "
                "components from one model"
            )


def check_space(needs: Sequence[Need]) -> None:
    """Check that the disks have room for what the run will write."""
    for short in missing_space(needs):
        raise RunError(
            f"the disk of {short.folder} has {_gigabytes(short.free_bytes)} free and the run will write about "
            f"{_gigabytes(short.needed_bytes)} there ({short.parts}); free some space, lower "
            "`checkpoints.total_limit`, or name another disk in `output_dir` or `data.store_dir`"
        )


def _changed_clip(ctx: Context, row: ClipRow) -> str | None:
    """Say how a clip or its mask differs from its row; None if neither does."""
    change = _change(ctx.clip_path(row), row.size_bytes, row.mtime_ns, row.sha256)
    if change is not None or not row.mask_sha256:
        return change
    path = ctx.dataset_dir(row.mask_dataset) / row.mask_path
    return _change(path, row.mask_size_bytes, row.mask_mtime_ns, row.mask_sha256)


def _change(path: Path, size: int, mtime_ns: int, sha256: str) -> str | None:
    """Say how a file differs from what the plan states; None if it does not."""
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"{path} is gone"
    if stat.st_size != size:
        return f"{path} has {stat.st_size} bytes where the plan has {size}"
    if stat.st_mtime_ns != mtime_ns and _sha256(path) != sha256:
        return f"{path} has other content"
    return None


def _sha256(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            state.update(chunk)
    return state.hexdigest()


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
