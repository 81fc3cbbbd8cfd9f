"""Removes from a store what none of the given plans needs."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch

from recipe_runtime.context import Context, build_context
from recipe_runtime.encode_features import feature_index, has_teacher
from recipe_runtime.encode_text import text_items
from recipe_runtime.encode_video import latent_index
from recipe_runtime.errors import StoreError
from recipe_runtime.keeping.listing import StoredFile, in_bytes, stored_files
from recipe_runtime.latent_colors import colors_key
from recipe_runtime.masks import mask_index
from recipe_runtime.preflight import check_ledger
from recipe_runtime.record import Recorder
from recipe_runtime.store import Kind
from recipe_schema.exits import Exit
from recipe_schema.planfile import read_plan


NEEDED: Mapping[Kind, Callable[[Context], Iterable[str]]] = {
    "latents": lambda ctx: latent_index(ctx).values(),
    "text": lambda ctx: (item.key for item in text_items(ctx)),
    "masks": lambda ctx: mask_index(ctx).values(),
    "colors": lambda ctx: (colors_key(ctx),) if ctx.settings.validation.preview.enabled else (),
    "features": lambda ctx: feature_index(ctx).values() if has_teacher(ctx) else (),
}
"""The keys of each kind that a plan needs. Values of other kinds stay."""

_UNDER_WAY_SECONDS = 24 * 3600.0
"""A claim or a half-written file may belong to a process at work until it is so old."""


def collect(store: Path, plans: Sequence[Path], *, delete: bool) -> int:
    """Name what no plan needs, and remove it if asked to.

    Args:
        store: The store.
        plans: The plans whose values stay.
        delete: Remove; otherwise only say what would be removed.

    Returns:
        An exit code.

    Raises:
        PlanError: A plan can't be read.
        RunError: What a plan needs can't be told, as its model is missing; or a file can't be removed.
    """
    needed = {kind: set[str]() for kind in NEEDED}
    for plan in plans:
        for kind, keys in needed_keys(plan).items():
            needed[kind] |= keys
    kept, spare = divided(store, needed)
    if delete:
        for file in spare:
            _remove(file.path)
    for title, files in (("kept", kept), ("removed" if delete else "to remove", spare)):
        size = in_bytes(sum(file.bytes for file in files))
        sys.stdout.write(f"{title:<10}{len(files):>10,} files  {size:>10}\n")
    if spare and not delete:
        sys.stdout.write("nothing was removed; `--delete` does it\n")
    return Exit.OK


def needed_keys(plan_dir: Path) -> Mapping[Kind, set[str]]:
    """Return the keys that a plan needs, by kind.

    Raises:
        PlanError: It can't be read.
        RunError: Its ledger can't be read, or its model is not there.
    """
    plan = read_plan(plan_dir)
    with tempfile.TemporaryDirectory(prefix="recipe-store-") as folder, Recorder(Path(folder)) as recorder:
        root = Path(plan.execution.root)
        cpu = torch.device("cpu")
        ctx = build_context(plan, plan_dir, root=root, run_dir=Path(folder), device=cpu, recorder=recorder)
        check_ledger(ctx)
        return {kind: set(keys(ctx)) for kind, keys in NEEDED.items()}


def divided(store: Path, needed: Mapping[Kind, set[str]]) -> tuple[list[StoredFile], list[StoredFile]]:
    """Return what of a store stays, and what nobody needs.

    Args:
        store: The store.
        needed: The keys that are needed, of each kind that this version knows.
    """
    kept: list[StoredFile] = []
    spare: list[StoredFile] = []
    now = time.time()
    for file in stored_files(store):
        wanted = next((keys for kind, keys in needed.items() if kind == file.kind), None)
        if wanted is None:
            is_spare = False
        elif file.key:
            is_spare = file.key not in wanted
        else:
            is_spare = now - file.modified > _UNDER_WAY_SECONDS
        (spare if is_spare else kept).append(file)
    return kept, spare


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path} can't be removed: {error}; correct its rights, and run the same command again"
        ) from error
