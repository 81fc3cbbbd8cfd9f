"""Stage ``export``: what was trained, in diffusers' format, for everyone to load.

After full fine-tuning that is a complete model; after training an adapter it is the adapter and a page about it.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from recipe_runtime import checkpoint
from recipe_runtime.checkpoint import Checkpoint
from recipe_runtime.context import Context
from recipe_runtime.errors import CheckpointError, RunError
from recipe_runtime.export_page import adapter_page
from recipe_runtime.exported import ADAPTER_FILE, EXPORT_FOLDER, INDEX, MARKER, MERGED
from recipe_runtime.models.adapter import adapted_layers, save_adapter
from recipe_runtime.models.source import check_index, component_dir, pipeline_dir, transformer_dir, vae_dir
from recipe_runtime.models.transformer import build_transformer, weight_files
from recipe_runtime.stage import report_stage
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Exported, Warned
from recipe_schema.files import sync_folder, write_atomically


EXPORT_VERSION = 1
"""Version of the marker's format."""

PROJECTOR = "crepa_projector.safetensors"
"""Beside the export: what took features to the teacher's, where they were aligned. The model works without it."""

_PAGE = "README.md"
_TEMPORARY = ".tmp-export"
_COPIED = ("scheduler", "tokenizer", "text_encoder")


def run(ctx: Context) -> None:
    """Export the weights of the last step: the average where it is kept, else the weights themselves.

    Raises:
        CheckpointError: There is no intact checkpoint of the last step.
        RunError: The directory can't be written.
    """
    last = ctx.plan.body.schedule.max_steps
    weights = "ema" if ctx.settings.ema.enabled else "model"
    what = "adapter" if ctx.settings.model.type == "lora" else "model"
    target = ctx.run_dir / EXPORT_FOLDER
    marker = {"version": EXPORT_VERSION, "plan_id": ctx.plan.plan_id, "step": last, "weights": weights}
    if what == "adapter" and ctx.settings.model.lora.merge:
        marker[MERGED] = True
    ready = _is_marked(target, marker)
    # The export takes one go: who asks the run to stop meanwhile gets a finished run.
    never = StopRequested()
    with report_stage(ctx.recorder, "export", total=1, reused=int(ready), unit=f"{what}s", stop=never) as report:
        if not ready:
            averages = weights == "model" and ctx.settings.optimizer.name == "schedule-free"
            found = _found(ctx, last)
            trained = found.part("averaged" if averages else weights)
            try:
                if ctx.settings.regularizers.crepa.enabled:
                    _write_projector(found.part("crepa"), ctx.run_dir / PROJECTOR)
                if what == "adapter":
                    _build_adapter(ctx, target, trained, marker, split=checkpoint.split_of(found))
                else:
                    _build(ctx, target, trained, marker)
            except (OSError, SafetensorError) as error:
                shutil.rmtree(target.with_name(_TEMPORARY), ignore_errors=True)
                raise RunError(
                    f"{target} can't be written: {error}; make room and run the same command again"
                ) from error
            ctx.recorder.emit(Exported(path=EXPORT_FOLDER, weights=weights, step=last, what=what))
            report.finish(1)


def _is_marked(target: Path, marker: dict[str, Any]) -> bool:
    try:
        return bool(json.loads((target / MARKER).read_text(encoding="utf-8")) == marker)
    except (OSError, ValueError):
        return False


def _found(ctx: Context, last: int) -> Checkpoint:
    found = checkpoint.latest(
        ctx.run_dir, plan_id=ctx.plan.plan_id, warn=lambda message: ctx.recorder.emit(Warned(message=message))
    )
    if found is None or found.step != last:
        there = "none" if found is None else f"step {found.step}"
        raise CheckpointError(
            f"the export needs the checkpoint of step {last}, and the newest intact one is {there}; run the same "
            "command again to train the missing steps"
        )
    return found


def _build(ctx: Context, target: Path, weights: Mapping[str, Tensor], marker: dict[str, Any]) -> None:
    """Build the directory under a temporary name, and rename it when it is complete."""
    temporary = target.with_name(_TEMPORARY)
    shutil.rmtree(temporary, ignore_errors=True)
    _copy_others(ctx, temporary)
    home = transformer_dir(ctx)
    # Where biases alone were trained, the other weights are those that it began with.
    others = weight_files(home) if ctx.settings.train.layer_freeze_strategy == "bitfit" else ()
    build_transformer(home, others, weights).save_pretrained(temporary / "transformer")
    _put_in_place(target, temporary, marker)


def _copy_others(ctx: Context, folder: Path) -> None:
    """Make a model's folder with all of its parts but the transformer."""
    home = pipeline_dir(ctx)
    folder.mkdir(parents=True)
    shutil.copyfile(check_index(home), folder / INDEX)
    # Directories from the hub's cache hold links; copytree puts the files in their place.
    for name in _COPIED:
        shutil.copytree(component_dir(home, name), folder / name)
    shutil.copytree(vae_dir(ctx), folder / "vae")


def _build_merged(ctx: Context, adapter: Path, folder: Path) -> None:
    """Export the model with an exported adapter in its weights.

    They are the published ones: into quantized weights nothing can be merged without rounding them once more.
    """
    _copy_others(ctx, folder)
    home = transformer_dir(ctx)
    model = build_transformer(home, weight_files(home))
    model.load_lora_adapter(str(adapter), weight_name=ADAPTER_FILE, prefix="transformer")
    model.fuse_lora()
    model.unload_lora()
    model.save_pretrained(folder / "transformer")


def _build_adapter(
    ctx: Context,
    target: Path,
    tensors: Mapping[str, Tensor],
    marker: dict[str, Any],
    *,
    split: Mapping[str, Tensor] | None,
) -> None:
    """Build the adapter's directory under a temporary name, and rename it when it is complete."""
    temporary = target.with_name(_TEMPORARY)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_adapter(temporary, tensors, ctx.settings.model.lora, split)
    page = adapter_page(ctx, layers=len(adapted_layers(tensors)), weights=marker["weights"])
    (temporary / _PAGE).write_text(page, encoding="utf-8")
    if MERGED in marker:
        _build_merged(ctx, temporary, temporary / MERGED)
    _put_in_place(target, temporary, marker)


def _write_projector(state: Mapping[str, Tensor], target: Path) -> None:
    tensors = {name: value for name, value in state.items() if name.startswith("crepa_projector.")}
    write_atomically(target, save(tensors))


def _put_in_place(target: Path, temporary: Path, marker: dict[str, Any]) -> None:
    write_atomically(temporary / MARKER, json.dumps(marker, indent=1).encode() + b"\n")
    for file in temporary.rglob("*.safetensors"):  # safetensors ignores the user's umask
        shutil.copymode(temporary / MARKER, file)
    if target.exists():
        old = target.with_name(f"{_TEMPORARY}-old")
        shutil.rmtree(old, ignore_errors=True)
        os.replace(target, old)
        os.replace(temporary, target)
        shutil.rmtree(old)
    else:
        os.replace(temporary, target)
    sync_folder(target.parent)
