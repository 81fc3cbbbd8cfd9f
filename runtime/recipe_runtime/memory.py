"""How much memory a run takes at its peak, what happens when there is not enough, and what would take less."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from recipe_runtime.context import Context
from recipe_runtime.errors import OutOfMemory


_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_ASKED = re.compile(r"[Tt]ried to allocate (\d+(?:\.\d+)?) (bytes|[KMGT]iB)")
_UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_CPU_ALLOCATOR = "DefaultCPUAllocator"
_TO_MAIN_MEMORY = {"ema.device", "memory.group_offload.enabled"}
"""Settings that only move something to main memory, which is of no use where that is too small."""

_SHOWN = 4
_GB = 1e9


def reset_peak(device: torch.device) -> None:
    """Let `peak_bytes` count from now on. Where the system can't do that, it counts from the start of the process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            _RESET.write_text("5", encoding="ascii")  # see proc(5): the peak of the resident set


def peak_bytes(device: torch.device) -> int:
    """Return the most that was taken at once: of a device by tensors, else by the whole process of main memory."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    status = _STATUS.read_text(encoding="ascii")
    match = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    assert match is not None, "Linux tells it of every process"
    return int(match[1]) * 1024


def total_bytes(device: torch.device) -> int:
    """Return the memory of a device, or of the machine."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception says that there is not enough memory, of a device or of the machine."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and _CPU_ALLOCATOR in str(error)
    )


@contextmanager
def shortage_explained(ctx: Context, what: str, *, bucket: str | None = None) -> Iterator[None]:
    """Say what to do where there is not enough memory.

    Args:
        ctx: The run.
        what: What is being done, as in ``step 3``.
        bucket: The bucket that is trained; None if it is not training.

    Raises:
        OutOfMemory: There is not enough memory.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(_explain(ctx, what, bucket, str(error))) from error


def predicted_gb(meta: Mapping[str, Any], bucket: str) -> float | None:
    """Return what a plan predicts for a bucket, in GB; None if it says nothing."""
    found = meta["memory"]["buckets"].get(bucket) if "memory" in meta else None
    return None if found is None else float(found)


def _explain(ctx: Context, what: str, bucket: str | None, told: str) -> str:
    peak, total = peak_bytes(ctx.device), total_bytes(ctx.device)
    found = _ASKED.search(told)
    asked = 0.0 if found is None else float(found[1]) * _UNITS[found[2]]
    more = "" if found is None else f", and {asked / _GB:.2f} GB more were asked for"
    where = "the device" if ctx.device.type == "cuda" else "the machine"
    of = "" if ctx.device.type == "cuda" else " by the whole process"
    begin = (
        f"out of memory in {what}{f' in bucket {bucket}' if bucket else ''}: {peak / _GB:.2f} GB were taken at the most"
        f"{of}{more}, and {where} has {total / _GB:.1f} GB"
    )
    if bucket is None:
        return f"{begin}; set `memory.vae_tiling: true` if it was the VAE, or `memory.group_offload`, or take a larger device"
    meta = ctx.plan.meta
    predicted = predicted_gb(meta, bucket)
    if predicted is None:
        return f"{begin}; take smaller buckets or a smaller `train.batch_size`"
    cures = [
        cure
        for cure in meta["memory"]["cures"]
        if ctx.device.type == "cuda" or _TO_MAIN_MEMORY.isdisjoint(cure["settings"])
    ]
    return f"{begin}; the plan predicted {predicted:.2f} GB. {_cures(cures, predicted, peak + asked, total)}"


def _cures(cures: list[Mapping[str, Any]], predicted: float, needed: float, total: int) -> str:
    """Name what takes less, the cheapest first: what would fit by the plan's formula, which the need corrects."""
    if not cures:
        return "No setting takes less: take smaller buckets or fewer frames"
    factor = max(needed / _GB / predicted, 1.0)
    fitting = [cure for cure in cures if cure["memory_gb"] * factor < total / _GB]
    chosen = (fitting or cures)[:_SHOWN]
    named = "; ".join(
        f"`{', '.join(f'{name}: {_yaml(value)}' for name, value in cure['settings'].items())}` "
        f"({cure['memory_gb']:.2f} GB predicted, {cure['cost']})"
        for cure in chosen
    )
    if fitting:
        return f"These would fit, the cheapest first: {named}"
    return f"None of these alone would fit by the prediction; together they may, or take smaller buckets: {named}"


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
