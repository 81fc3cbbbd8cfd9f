"""Removes from a store what none of the given plans needs."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from recipe_runtime.context import Context, build_context
from recipe_runtime.encode_features import feature_index, has_teacher
from recipe_runtime.encode_text import text_items
from recipe_runtime.encode_video import latent_index
from recipe_runtime.errors import StoreError
from recipe_runtime.keeping.listing import StoredFile, in_bytes, stored_files
from recipe_runtime.keeping.shrink import Share, clear_shards, shares
from recipe_runtime.latent_colors import colors_key
from recipe_runtime.masks import mask_index
from recipe_runtime.preflight import check_ledger
from recipe_runtime.record import Recorder
from recipe_runtime.store import Kind, Store
from recipe_schema.exits import Exit
from recipe_schema.planfile import read_plan
from recipe_schema.shards import FOLDER


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
    shards = shares(store, needed)
    if delete:
        for file in spare:
            _remove(file.path)
        clear_shards(Store(store), shards)
    for line in _told(kept, spare, shards, delete=delete):
        sys.stdout.write(f"{line}\n")
    return Exit.OK


def _told(
    kept: Sequence[StoredFile], spare: Sequence[StoredFile], shards: Sequence[Share], *, delete: bool
) -> Iterator[str]:
    """Yield lines that say what stays and what goes."""
    goes = [shard for shard in shards if shard.goes]
    stays = [shard for shard in shards if not shard.goes]
    values = [file for file in spare if file.key]
    title = "removed" if delete else "to remove"
    count = sum(bool(file.key) for file in kept) + sum(len(shard.needed) for shard in shards)
    size = sum(file.bytes for file in kept) + sum(shard.bytes - shard.freed for shard in shards)
    yield _line("kept", count, "values", size)
    count = len(values) + sum(len(shard.spare) for shard in goes)
    yield _line(title, count, "values", sum(file.bytes for file in values) + sum(shard.freed for shard in goes))
    if left := sum(len(shard.spare) for shard in stays):
        yield f"{left:,} more {'is' if left == 1 else 'are'} not needed, and {'stays' if left == 1 else 'stay'} in shards of which most is"
    if leftovers := [file for file in spare if not file.key]:
        size = sum(file.bytes for file in leftovers)
        yield _line(title, len(leftovers), "files of encoding that was killed", size)
    if not delete and (spare or goes):
        yield "nothing was removed; `--delete` does it"


def _line(title: str, count: int, what: str, size: int) -> str:
    return f"{title:<10}{count:>10,} {what}  {in_bytes(size):>10}"


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
    """Return what of a store stays, and what nobody needs, of files other than shards.

    Args:
        store: The store.
        needed: The keys that are needed, of each kind that this version knows.
    """
    kept: list[StoredFile] = []
    spare: list[StoredFile] = []
    now = time.time()
    for file in stored_files(store):
        wanted = next((keys for kind, keys in needed.items() if kind == file.kind), None)
        if wanted is None and file.kind != FOLDER:
            is_spare = False
        elif file.key:
            is_spare = wanted is not None and file.key not in wanted
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
