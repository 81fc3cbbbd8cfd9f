"""Figures: what follows from a plan and its ledger, counted for people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from recipe_compiler.data.course import count_windows, micro_batches
from recipe_compiler.data.filters import kind_of
from recipe_schema.family import FamilyFacts
from recipe_schema.ledger import FATES, ClipRow
from recipe_schema.plan import Bucket, Plan


WORST = 3
"""Clips that are named of each kind."""

_WRITTEN = ("latents", "checkpoints", "export")

_NOTABLE = {"enlarged": 1.05, "much cropped": 0.15, "mostly unused": 0.5, "at another speed": 1.05}
"""From where on something that happens to a trained clip is worth a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketFigures:
    """One bucket.

    Attributes:
        name: As in ``832x480@81``.
        clips: Different clips.
        windows: Windows of theirs that are encoded.
        samples: Samples of one epoch, in the mean.
        share: The bucket's part of all samples.
        steps: Optimizer steps of one epoch; a fraction is carried into the next one.
        batch_size: Samples of one forward pass.
        batches: Forward passes of one epoch, of each process.
        latent_shape: Channels, frames, height, width.
        tokens: What the transformer sees of one sample.
    """

    name: str
    clips: int
    windows: int
    samples: float
    share: float
    steps: float
    batch_size: int
    batches: float
    latent_shape: tuple[int, int, int, int]
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Clips of which the same can be said.

    Attributes:
        what: What is said, as in ``too short``.
        count: How many clips it is true of.
        worst: The first few, worst first, each with its own numbers.
    """

    what: str
    count: int
    worst: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All figures of a plan.

    Attributes:
        batch_size: Samples of one forward pass.
        accumulation: Forward passes of one step.
        processes: Processes that train together, on all machines.
        samples_per_step: Their product; the mean, where data sets have batch sizes of their own.
        samples_per_epoch: Clips with their repeats; in the mean, where data sets give a share of theirs.
        steps_per_epoch: A fraction is carried into the next epoch.
        max_steps: Optimizer steps in all.
        samples: Samples in all.
        epochs: Passes through the data.
        buckets: In order of size.
        fates: Files by what becomes of them.
        left_out: Files that are not trained, by reason.
        notable: Clips that are trained, and lose much on the way.
        disk_gb: What the run will write.
    """

    batch_size: int
    accumulation: int
    processes: int
    samples_per_step: float
    samples_per_epoch: float
    steps_per_epoch: float
    max_steps: int
    samples: int
    epochs: float
    buckets: tuple[BucketFigures, ...]
    fates: Mapping[str, int]
    left_out: tuple[Group, ...]
    notable: tuple[Group, ...]
    disk_gb: float


def figures(plan: Plan, rows: Sequence[ClipRow], family: FamilyFacts) -> Figures:
    """Count what follows from a plan.

    Args:
        plan: The plan.
        rows: Its ledger.
        family: The model family.
    """
    schedule, cost, windows = plan.body.schedule, plan.meta["estimate"], count_windows(plan.settings, rows)
    samples = round(schedule.max_steps * schedule.samples_per_step)
    return Figures(
        batch_size=plan.settings["train.batch_size"],
        accumulation=plan.settings["train.gradient_accumulation_steps"],
        processes=plan.settings["launch.processes"] * plan.settings["launch.machines"],
        samples_per_step=schedule.samples_per_step,
        samples_per_epoch=schedule.samples_per_epoch,
        steps_per_epoch=schedule.samples_per_epoch / schedule.samples_per_step,
        max_steps=schedule.max_steps,
        samples=samples,
        epochs=float(schedule.epochs(schedule.max_steps)),
        buckets=tuple(
            _bucket(b, plan, family, windows[b.name]) for b in sorted(plan.body.buckets, key=_size, reverse=True)
        ),
        fates=fates(rows),
        left_out=left_out(rows),
        notable=notable([row for row in rows if row.fate == "trained"], plan.settings["data.framerate"]),
        disk_gb=disk_gb(cost),
    )


def fates(rows: Sequence[ClipRow]) -> Mapping[str, int]:
    """Count files by what becomes of them. Together they are all that were found."""
    return {fate: count for fate in FATES if (count := sum(row.fate == fate for row in rows))}


def amount(samples: float) -> str:
    """Write a number of samples for people: a mean has at most two digits after the point."""
    return f"{round(samples, 2):,}"


def disk_gb(cost: Mapping[str, Any]) -> float:
    """Add up what a run writes, from an estimate."""
    return float(sum(disk_parts(cost).values()))


def disk_parts(cost: Mapping[str, Any]) -> Mapping[str, float]:
    """Return what a run writes in GB, by what it is. A teacher's features come only where there are some."""
    parts = ("latents", "features", "checkpoints", "export") if cost.get("features_gb") else _WRITTEN
    return {what: cost[f"{what}_gb"] for what in parts}


def _size(bucket: Bucket) -> tuple[float, int, str]:
    return bucket.samples, bucket.width * bucket.height * bucket.frames, bucket.name


def _bucket(bucket: Bucket, plan: Plan, family: FamilyFacts, windows: int) -> BucketFigures:
    size = bucket.width, bucket.height, bucket.frames
    accumulation = plan.settings["train.gradient_accumulation_steps"]
    return BucketFigures(
        name=bucket.name,
        clips=bucket.clips,
        windows=windows,
        samples=bucket.samples,
        share=bucket.samples / plan.body.schedule.samples_per_epoch,
        steps=steps_of(bucket, plan),
        batch_size=bucket.batch_size or plan.settings["train.batch_size"],
        batches=steps_of(bucket, plan) * accumulation,
        latent_shape=family.latent_shape(*size, plan.settings["model.random_weights"]),
        tokens=family.tokens(*size),
    )


def steps_of(bucket: Bucket, plan: Plan) -> float:
    """Count the optimizer steps of one epoch that a bucket fills, in the mean."""
    each = (bucket.batch_size or plan.settings["train.batch_size"]) * micro_batches(plan.settings)
    return float(bucket.samples / each)


def left_out(rows: Sequence[ClipRow]) -> tuple[Group, ...]:
    """Group the files that are not trained by reason, the largest group first."""
    groups: dict[str, list[ClipRow]] = {}
    for row in rows:
        if not row.used and row.fate != "disabled":
            groups.setdefault(_kind(row), []).append(row)
    by_count = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return tuple(_group(what, members, _badness(what), _numbers(what)) for what, members in by_count)


def _kind(row: ClipRow) -> str:
    """Say a reason without its numbers: ``too short: 6 frames …`` is ``too short``."""
    if row.fate == "missing-caption":
        return "without a caption"
    return kind_of(row.reason)


def _badness(what: str) -> Callable[[ClipRow], float]:
    if what == "too short":
        return lambda row: -row.seconds
    return lambda row: row.seconds if what == "too long" else 0.0


def _numbers(what: str) -> Callable[[ClipRow], str]:
    """Return what gives the numbers of a reason, without what is said of the whole group already."""

    def numbers(row: ClipRow) -> str:
        rest = row.reason.removeprefix(what).lstrip(": ")
        return rest[1:-1] if rest.startswith("(") and rest.endswith(")") else rest

    return numbers


def _group(
    what: str, rows: Sequence[ClipRow], badness: Callable[[ClipRow], float], numbers: Callable[[ClipRow], str]
) -> Group:
    worst = sorted(rows, key=lambda row: (-badness(row), row.clip_id))[:WORST]
    return Group(what=what, count=len(rows), worst=tuple((row.clip_id, numbers(row)) for row in worst))


def notable(trained: Sequence[ClipRow], framerate: float) -> tuple[Group, ...]:
    """Group trained clips that are enlarged, lose much to the crop, are used only in small part, or change their speed.

    Args:
        trained: The clips.
        framerate: Frames a second of what is trained.
    """
    kinds: Mapping[str, tuple[Callable[[ClipRow], float], Callable[[ClipRow], str]]] = {
        "enlarged": (_enlarged, _enlarged_text),
        "much cropped": (_cropped, lambda row: f"{_cropped(row):.0%} of the picture is cut off"),
        "at another speed": (
            lambda row: max(speed_of(row, framerate), 1 / speed_of(row, framerate)),
            lambda row: f"{speed_of(row, framerate):.3g} times as fast, {row.fps:.4g} fps as {framerate:g}",
        ),
        "mostly unused": (_unused, lambda row: f"{_used_frames(row)} of {row.frames_at_rate} frames are used"),
    }
    groups = []
    for what, (amount, text) in kinds.items():
        rows = [row for row in trained if amount(row) > _NOTABLE[what]]
        if rows:
            groups.append(_group(what, rows, amount, text))
    return tuple(groups)


def speed_of(row: ClipRow, framerate: float) -> float:
    """Return how many times as fast a clip plays in training: frames that are not resampled change its speed.

    Args:
        row: The clip, or a picture, which has no speed.
        framerate: Frames a second of what is trained.
    """
    return framerate / row.fps if row.fps and not row.framerate else 1.0


def _enlarged(row: ClipRow) -> float:
    return max(row.resize_width / row.width, row.resize_height / row.height)


def _enlarged_text(row: ClipRow) -> str:
    return f"{_enlarged(row):.3g} times, from {row.width}x{row.height} to {row.resize_width}x{row.resize_height}"


def _cropped(row: ClipRow) -> float:
    return 1 - row.bucket_width * row.bucket_height / (row.resize_width * row.resize_height)


def _unused(row: ClipRow) -> float:
    return 1 - _used_frames(row) / row.frames_at_rate


def _used_frames(row: ClipRow) -> int:
    """Count the frames of a clip that lie in one of its windows at least."""
    first = [round(start * (row.framerate or row.fps)) for start in row.starts]
    return row.bucket_frames + sum(min(after - before, row.bucket_frames) for before, after in pairwise(first))
