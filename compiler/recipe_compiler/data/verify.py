"""Is a plan still what was frozen, and are its clips still those that it was made from."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipe_compiler.data.facts import data_folders
from recipe_compiler.data.ledger_file import read_ledger
from recipe_compiler.diagnostics.codes import (
    CLIP_CHANGED,
    CLIP_GONE,
    LEDGER_DIFFERS,
    PLAN_CHANGED,
    PLAN_UNREADABLE,
    PLAN_VERSION_DIFFERS,
    Code,
)
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.source import Source, start_of
from recipe_schema.ledger import ClipRow, ledger_digest
from recipe_schema.plan import Plan
from recipe_schema.planfile import LEDGER_FILE, PLAN_FILE, PlanChangedError, PlanError, PlanVersionError, read_plan


_ALWAYS_READ = -1
"""A time of change that no file has: its content is compared."""

_ANEW = "make the plan anew with `recipe plan RECIPE`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What became of a plan since it was frozen.

    Attributes:
        plan: The plan; None if it can't be used at all.
        rows: Its ledger; None if that can't be used.
        found: What is wrong, a finding for each thing. Empty if the plan can be run.
    """

    plan: Plan | None
    rows: tuple[ClipRow, ...] | None
    found: tuple[Diagnostic, ...]


def verify(folder: Path) -> Verified:
    """Read a plan, and compare it and its clips with what was frozen.

    Only clips that are trained count. One is read only where its size is the same and its time of change is not.

    Args:
        folder: The plan.
    """
    try:
        plan = read_plan(folder)
    except PlanError as error:
        return Verified(plan=None, rows=None, found=(_finding(_code(error), folder / PLAN_FILE, str(error)),))
    ledger = folder / LEDGER_FILE
    try:
        rows = read_ledger(folder)
    except PlanError as error:
        return Verified(plan=plan, rows=None, found=(_finding(LEDGER_DIFFERS, ledger, str(error)),))
    if ledger_digest(rows) != plan.body.ledger_digest:
        message = f"{ledger} is not the ledger that this plan was frozen with; {_ANEW}"
        return Verified(plan=plan, rows=None, found=(_finding(LEDGER_DIFFERS, ledger, message),))
    folders = data_folders(plan.settings, Path(plan.execution.root))
    found = (*changed_clips(rows, folders), *changed_images(plan))
    return Verified(plan=plan, rows=rows, found=found)


def changed_clips(rows: Sequence[ClipRow], folders: Mapping[str, Path]) -> Iterator[Diagnostic]:
    """Compare trained and measured clips with their rows.

    Args:
        rows: A ledger.
        folders: The folder of each data set by its id.
    """
    for row in rows:
        if row.used:
            path = folders[row.dataset] / row.path
            change = _change(path, row.size_bytes, row.mtime_ns, row.sha256)
            if change is not None:
                yield _finding(change[0], path, f"clip `{row.clip_id}` {change[1]}")
            if row.mask_sha256:
                yield from _changed_mask(row, folders)


def changed_images(plan: Plan) -> Iterator[Diagnostic]:
    """Compare the pictures from which validation clips start with what the plan says of them."""
    for prompt in plan.execution.prompts:
        if prompt.image is not None:
            image = prompt.image
            path = Path(plan.execution.root) / image.path
            change = _change(path, image.size_bytes, _ALWAYS_READ, image.sha256)
            if change is not None:
                yield _finding(change[0], path, f"the first frame of prompt `{prompt.nickname}` {change[1]}")


def _changed_mask(row: ClipRow, folders: Mapping[str, Path]) -> Iterator[Diagnostic]:
    path = folders[row.mask_dataset] / row.mask_path
    change = _change(path, row.mask_size_bytes, row.mask_mtime_ns, row.mask_sha256)
    if change is not None:
        yield _finding(change[0], path, f"the mask `{row.mask_dataset}/{row.mask_path}` {change[1]}")


def _change(path: Path, size: int, mtime_ns: int, sha256: str) -> tuple[Code, str] | None:
    try:
        stat = path.stat()
        if stat.st_size != size:
            return CLIP_CHANGED, f"has {stat.st_size:,} bytes where the plan has {size:,}"
        if stat.st_mtime_ns != mtime_ns and (found := _sha256(path)) != sha256:
            return CLIP_CHANGED, f"has other content: sha256 {found[:12]}… where the plan has {sha256[:12]}…"
    except (FileNotFoundError, NotADirectoryError):
        return CLIP_GONE, f"is gone: there is no {path}"
    except OSError as error:
        return CLIP_GONE, f"can't be read: {error.strerror}"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _code(error: PlanError) -> Code:
    if isinstance(error, PlanVersionError):
        return PLAN_VERSION_DIFFERS
    return PLAN_CHANGED if isinstance(error, PlanChangedError) else PLAN_UNREADABLE


def _finding(code: Code, file: Path, message: str) -> Diagnostic:
    return code.at(start_of(Source(str(file), "")), message)
