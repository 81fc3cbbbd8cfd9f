"""What fits a GPU: settings are changed one after the other, the cheapest first, until the estimate says that it does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from recipe_compiler.passes.cures import BASE, BF16_ADAMW, CHECKPOINTING, INTERVAL, OFFLOAD
from recipe_compiler.passes.estimate import peak_parts
from recipe_compiler.wizard.answers import Goal
from recipe_schema.family import FamilyFacts
from recipe_schema.plan import Bucket


CONTEXT_GB = 2.0
"""What the estimate leaves out: CUDA's own share, and workspaces."""

TYPE, EMA_DEVICE, OPTIMIZER = "model.type", "ema.device", "optimizer.name"
FRAMES = (49, 33, 17)
"""Shorter samples, for a GPU that nothing else makes room on."""


class Rung(NamedTuple):
    """A step down the ladder.

    Attributes:
        settings: What is set there, all that is above it included.
        why: The reason of each setting that is not the default, by its path.
        frames: Samples have at most so many frames; None leaves them as they are.
    """

    settings: Mapping[str, Any]
    why: Mapping[str, str]
    frames: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What was chosen.

    Attributes:
        settings: What is set, by path; ``model.type`` among it.
        why: The reason of each, by path.
        parts_gb: The parts of the peak, in 10⁹ bytes.
        frames: Samples have at most so many frames; None leaves them as they are.
        refused: What was not taken, and why; empty where everything was.
    """

    settings: Mapping[str, Any]
    why: Mapping[str, str]
    parts_gb: Mapping[str, float]
    frames: int | None = None
    refused: str = ""

    @property
    def peak_gb(self) -> float:
        """All parts together."""
        return sum(self.parts_gb.values())


class TooSmallError(ValueError):
    """Nothing makes enough room."""


def fit(values: Mapping[str, Any], family: FamilyFacts, buckets: Sequence[Bucket], goal: Goal, gpu_gb: float) -> Fit:
    """Choose settings with which training fits a GPU.

    Args:
        values: Settings by path, as they are without a choice.
        family: The model family.
        buckets: Buckets that hold clips.
        goal: What is to be trained.
        gpu_gb: Memory of the GPU, in 10⁹ bytes.

    Raises:
        TooSmallError: There is no way.
    """
    room = gpu_gb - CONTEXT_GB
    refused = ""
    if goal != "lora":
        exact = tuple(_full_rungs()) if goal == "full" else tuple(_exact_rungs())
        chosen, least = _first(exact, values, family, buckets, room)
        if chosen is not None:
            return chosen
        refused = f"all weights take {least + CONTEXT_GB:.1f} GB" + (" at least" if goal == "full" else " in fp32")
        if goal == "full":
            raise TooSmallError(f"{refused}, and the GPU has {gpu_gb:.4g}: train an adapter, `lora`")
    chosen, least = _first(tuple(_adapter_rungs()), values, family, buckets, room)
    if chosen is None:
        raise TooSmallError(f"an adapter takes {least + CONTEXT_GB:.1f} GB at least, and the GPU has {gpu_gb:.4g}")
    return replace(chosen, refused=refused)


def _first(
    rungs: Sequence[Rung], values: Mapping[str, Any], family: FamilyFacts, buckets: Sequence[Bucket], room: float
) -> tuple[Fit | None, float]:
    """Return the first rung that fits, and the least that any takes."""
    least = float("inf")
    for rung in rungs:
        parts = _parts({**values, **rung.settings}, family, buckets, rung.frames)
        peak = sum(parts.values())
        least = min(least, peak)
        if peak <= room:
            return Fit(settings=rung.settings, why=rung.why, parts_gb=parts, frames=rung.frames), least
    return None, least


def _parts(
    values: Mapping[str, Any], family: FamilyFacts, buckets: Sequence[Bucket], frames: int | None
) -> Mapping[str, float]:
    """Return the parts of the peak in the bucket that takes most."""
    cut = [b if frames is None else replace(b, frames=min(b.frames, frames)) for b in buckets]
    return max((peak_parts(values, family, bucket) for bucket in cut), key=lambda parts: sum(parts.values()))


_WHOLE = "there is room for all activations, so that nothing is computed twice"
_HALF = "every second block is computed again in the backward pass: there is room for the others"
_EVERY = "each block is computed again in the backward pass: a third more work, a fraction of the memory"
_CHECKPOINTING: tuple[tuple[Mapping[str, Any], Mapping[str, str]], ...] = (
    ({CHECKPOINTING: False}, {CHECKPOINTING: _WHOLE}),
    ({CHECKPOINTING: True, INTERVAL: 2}, {INTERVAL: _HALF}),
    ({CHECKPOINTING: True, INTERVAL: 1}, {CHECKPOINTING: _EVERY}),
)


def _exact_rungs() -> Iterator[Rung]:
    """Yield what trains all weights with everything in fp32."""
    for settings, why in _CHECKPOINTING:
        yield Rung({TYPE: "full", **settings}, why)
    yield Rung(*_last_exact())


def _last_exact() -> tuple[dict[str, Any], dict[str, str]]:
    settings, why = _CHECKPOINTING[-1]
    average = "the average waits in main memory: 8 GB less, the same result"
    return {TYPE: "full", **settings, EMA_DEVICE: "cpu"}, {**why, EMA_DEVICE: average}


def _full_rungs() -> Iterator[Rung]:
    """Yield what trains all weights: first exactly, then with weights and moments in bf16."""
    yield from _exact_rungs()
    settings, why = _last_exact()
    settings |= {OPTIMIZER: BF16_ADAMW}
    why |= {OPTIMIZER: "weights and moments in bf16, to fit the GPU: it trains less exactly than adamw"}
    yield Rung(settings, why)
    yield from (Rung(settings, why, frames) for frames in FRAMES)


def _adapter_rungs() -> Iterator[Rung]:
    """Yield what trains an adapter, down to quantized weights in main memory."""
    for settings, why in _CHECKPOINTING:
        yield Rung({TYPE: "lora", **settings}, why)
    last, reasons = _CHECKPOINTING[-1]
    smaller = {TYPE: "lora", **last, BASE: "int8-quanto"}
    rounded = {**reasons, BASE: "frozen weights in 8 bits, to fit the GPU: an error of about half a percent"}
    yield Rung(smaller, rounded)
    smallest = {**smaller, OFFLOAD: True}
    slower = {**rounded, OFFLOAD: "frozen weights wait in main memory, to fit the GPU: slower, the same result"}
    yield Rung(smallest, slower)
    yield from (Rung(smallest, slower, frames) for frames in FRAMES)
