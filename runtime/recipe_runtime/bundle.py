"""A failed step, whole: what it was fed, the weights that it met, the plan, and what is known of it.

``failure-00000003/`` in a run directory holds ``failure.json``, ``batch.safetensors``, ``weights.safetensors``, the
``plan``, and with alignment ``alignment.safetensors``. `recipe_runtime.replay` takes that step again, on any machine that has the model.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from recipe_runtime.batches import MicroBatch
from recipe_runtime.errors import BundleError
from recipe_runtime.first_frame import FirstFrames
from recipe_schema.files import sync_folder
from recipe_schema.planfile import LEDGER_FILE, PLAN_FILE
from recipe_schema.sections.regularizers import Rollout


BUNDLE_VERSION = 1
"""Version of the layout of a bundle."""

FAILURE_FILE = "failure.json"
"""What is known of the step, as JSON."""

PLAN_FOLDER = "plan"
_FIRST = "first."
"""Before the names of what is known of first frames that are given."""

_BATCH, _WEIGHTS, _ALIGNMENT = "batch.safetensors", "weights.safetensors", "alignment.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A failed step.

    Attributes:
        record: What is known of it: ``step``, ``bucket``, ``samples``, and where it went wrong.
        parts: Its micro-batches.
        weights: The trained weights that it met, and what is trained beside them, by name.
        alignment: Where alignment stood, ``crepa.NAME`` as in a checkpoint, and the average of the weights where that is
            its teacher, ``ema.NAME``. Empty without alignment.
    """

    record: Mapping[str, Any]
    parts: tuple[MicroBatch, ...]
    weights: Mapping[str, Tensor]
    alignment: Mapping[str, Tensor]


def bundle_folder(run_dir: Path, step: int) -> Path:
    """Return the folder of a failed step. The first step is 1."""
    return run_dir / f"failure-{step:08d}"


def write_bundle(folder: Path, bundle: Bundle, plan_dir: Path) -> None:
    """Write a bundle; under its name it is whole, or it is not there. An older one of the same step is replaced.

    Args:
        folder: Where to.
        bundle: The failed step.
        plan_dir: The plan's folder, which is copied.

    Raises:
        OSError: It can't be written.
    """
    temporary = folder.with_name(f".tmp-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        (temporary / PLAN_FOLDER).mkdir(parents=True)
        for name in (LEDGER_FILE, PLAN_FILE):
            shutil.copyfile(plan_dir / name, temporary / PLAN_FOLDER / name)
        tensors = {
            f"{number}.{name}": tensor
            for number, part in enumerate(bundle.parts)
            for name, tensor in (*_tensors(part), *((f"{_FIRST}{name}", found) for name, found in _tensors(part.first)))
        }
        _save(tensors, temporary / _BATCH)
        _save(bundle.weights, temporary / _WEIGHTS)
        if bundle.alignment:
            _save(bundle.alignment, temporary / _ALIGNMENT)
        record = {"version": BUNDLE_VERSION, **bundle.record}
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        (temporary / FAILURE_FILE).write_text(text, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def read_bundle(folder: Path, rollout: Rollout) -> Bundle:
    """Read a bundle.

    Args:
        folder: Where it is.
        rollout: The plan's settings of it, which micro-batches carry.

    Raises:
        BundleError: It is no bundle, or not whole.
    """
    try:
        record = json.loads((folder / FAILURE_FILE).read_text(encoding="utf-8"))
        if record["version"] != BUNDLE_VERSION:
            raise BundleError(f"{folder} has version {record['version']}, and this tool reads {BUNDLE_VERSION}")
        tensors, weights = load_file(folder / _BATCH), load_file(folder / _WEIGHTS)
        alignment = load_file(folder / _ALIGNMENT) if (folder / _ALIGNMENT).exists() else {}
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise BundleError(
            f"{folder} is no whole bundle of a failed step ({error}); name a folder `failure-STEP` of a run directory"
        ) from error
    parts: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        number, _, field = name.partition(".")
        parts.setdefault(int(number), {})[field] = tensor
    return Bundle(
        record=record,
        parts=tuple(_micro_batch(parts[number], rollout) for number in sorted(parts)),
        weights=weights,
        alignment=alignment,
    )


def _tensors(part: MicroBatch | FirstFrames | None) -> list[tuple[str, Tensor]]:
    """Return the tensors of a micro-batch, or of its first frames, by name."""
    values = [] if part is None else [(field.name, getattr(part, field.name)) for field in fields(part)]
    return [(name, value) for name, value in values if isinstance(value, Tensor)]


def _micro_batch(tensors: Mapping[str, Tensor], rollout: Rollout) -> MicroBatch:
    values: dict[str, Any] = {"extra_noise": None, "weights": None, "offsets": None, "rollout": rollout}
    values |= {name: tensor for name, tensor in tensors.items() if not name.startswith(_FIRST)}
    first = {name.removeprefix(_FIRST): tensor for name, tensor in tensors.items() if name.startswith(_FIRST)}
    return MicroBatch(**values, first=FirstFrames(**first) if first else None)


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        raise OSError(str(error)) from error
