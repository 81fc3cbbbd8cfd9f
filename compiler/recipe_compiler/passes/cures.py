"""What each bucket takes of memory, and which settings take less: the runtime shows it where there is not enough."""

from collections.abc import Iterator, Mapping
from typing import Any

from recipe_compiler.passes.estimate import peak_parts
from recipe_schema.family import FamilyFacts
from recipe_schema.optimizers import ELEMENTWISE
from recipe_schema.plan import Bucket


_LEAST = 0.995
"""A setting is worth naming where it leaves less than this share of what is taken."""

CHECKPOINTING, INTERVAL = "memory.gradient_checkpointing", "memory.gradient_checkpointing_interval"
BATCH, ACCUMULATION = "train.batch_size", "train.gradient_accumulation_steps"
BASE, OFFLOAD = "model.base_model_precision", "memory.group_offload.enabled"
BF16_ADAMW = "adamw_bf16"


def memory_facts(values: Mapping[str, Any], family: FamilyFacts, buckets: tuple[Bucket, ...]) -> dict[str, Any]:
    """Return the peak of each bucket in GB, and what takes less in the largest of them, the cheapest first.

    Args:
        values: Resolved settings by path.
        family: The model family.
        buckets: Buckets that hold clips; at least one.
    """
    peaks = {bucket.name: _peak(values, family, bucket) for bucket in buckets}
    largest = max(buckets, key=lambda bucket: (peaks[bucket.name], bucket.name))
    cures = []
    for settings, cost in _candidates(values):
        peak = _peak({**values, **settings}, family, largest)
        if peak < _LEAST * peaks[largest.name]:
            cures.append({"settings": settings, "memory_gb": float(f"{peak:.4g}"), "cost": cost})
    rounded = {name: float(f"{peak:.4g}") for name, peak in peaks.items()}
    return {"buckets": rounded, "largest": largest.name, "cures": cures}


def _peak(values: Mapping[str, Any], family: FamilyFacts, bucket: Bucket) -> float:
    return sum(peak_parts(values, family, bucket).values())


def _candidates(values: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield settings that may take less, each with what it costs; first what costs least."""
    adapter, mixed = values["model.type"] == "lora", values["train.mixed_precision"] == "bf16"
    if values["ema.enabled"] and values["ema.device"] == "accelerator":
        yield {"ema.device": "cpu"}, "the average crosses to main memory at each update; the same result"
    if not values[CHECKPOINTING]:
        yield {CHECKPOINTING: True, INTERVAL: 1}, "a third more work; the same result"
    elif values[INTERVAL] > 1:
        yield {INTERVAL: 1}, "up to a third more work; the same result"
    sliced = values["launch.strategy"] == "fsdp2"
    if values[BATCH] > 1 and not values["optimizer.release_gradients"]:
        steps = values[BATCH] * values[ACCUMULATION]
        yield {BATCH: 1, ACCUMULATION: steps}, "the same samples a step, less work at once; the same result to rounding"
    cuttable = values["optimizer.name"] in ELEMENTWISE and values["hardware.compile"] in ("no", "default")
    if values["launch.processes"] > 1 and not sliced and not adapter and cuttable:
        yield {"launch.strategy": "fsdp2"}, "weights cross between devices in each pass; the same result to rounding"
    if adapter and values[BASE] == "no_change":
        yield {BASE: "int8-torchao" if sliced else "int8-quanto"}, "the frozen weights are rounded to 8 bits"
    if adapter and not values[OFFLOAD] and not sliced:
        yield {OFFLOAD: True}, "frozen weights cross from main memory in each pass; the same result"
    if not adapter and mixed and not sliced and values["optimizer.name"] == "adamw":
        yield {"optimizer.name": BF16_ADAMW}, "weights and moments are kept in bf16, which trains less exactly"
    if not adapter:
        yield {"model.type": "lora"}, "only low-rank changes are trained"
