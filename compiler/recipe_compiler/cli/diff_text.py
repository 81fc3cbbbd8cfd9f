"""A comparison in words, and as JSON values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recipe_compiler.cli.explain_json import origin_json
from recipe_compiler.cli.plan_text import flop, size
from recipe_compiler.cli.setting_text import origin_text, value_or_dash
from recipe_compiler.diagnostics.render_json import FORMAT_VERSION
from recipe_compiler.passes.compare import CLASSES, Change, ChangeClass, ClipChange, Comparison, Pair
from recipe_compiler.passes.figures import amount
from recipe_compiler.subject import Stated, Subject


SHOWN = 3
"""Clips of each kind that are named; the rest are counted."""

_TITLES: Mapping[ChangeClass, str] = {
    "result": "settings that shape the weights",
    "runtime": "settings that may differ when a run is resumed",
    "cosmetic": "names",
    "ignored": "settings that are never applied",
}
_CLIPS: Mapping[ClipChange, str] = {
    "added": "added",
    "removed": "removed",
    "renamed": "renamed",
    "content": "with other content",
    "caption": "with another caption",
    "fate": "with another fate",
    "place": "in another bucket, window or crop",
    "repeats": "repeated another number of times",
}
_LENGTHS = {
    "max_steps": "steps",
    "samples_per_step": "samples a step",
    "samples_per_epoch": "samples an epoch",
    "phases": "phases of data sets",
}
_COSTS = {
    "memory_gb": "memory",
    "train_pflop": "training",
    "evaluation_pflop": "measuring",
    "draw_pflop": "validation clips",
    "encode_pflop": "encoding",
    "step_tflop": "a step",
}
_DISK = {
    "latents_gb": "latents",
    "features_gb": "a teacher's features",
    "checkpoints_gb": "checkpoints",
    "export_gb": "export",
}


def as_text(comparison: Comparison) -> str:
    """Say what differs."""
    a, b = comparison.a, comparison.b
    width = max(len(a.name), len(b.name))
    lines = [f"A  {a.name:<{width}}  {_id(a)}", f"B  {b.name:<{width}}  {_id(b)}", "", _verdict(comparison)]
    for kind in CLASSES:
        changes = [change for change in comparison.settings if change.kind == kind]
        if changes:
            lines += ["", _TITLES[kind], *(line for change in changes for line in _setting(change))]
    lines += _block("clips", _clips(comparison.clips or {}))
    lines += _block("buckets, samples an epoch", [_numbers(pair.name, pair) for pair in comparison.buckets])
    lines += _block("schedule", [_numbers(_LENGTHS[pair.name], pair) for pair in comparison.schedule])
    lines += _block("cost", list(_cost(comparison.cost)))
    if comparison.stages:
        lines += ["", f"done anew: {', '.join(comparison.stages)}"]
    return "\n".join(lines)


def _id(subject: Subject) -> str:
    return subject.plan.plan_id[:19] if subject.plan is not None else f"no plan: {subject.unplanned}"


def _verdict(comparison: Comparison) -> str:
    if comparison.resumable is None:
        what = "the settings are the same" if comparison.same else "they differ"
        return f"{what}; buckets, schedule and cost were not compared"
    if comparison.same:
        return "the same in everything"
    if comparison.resumable:
        return "the plan ids are equal: a run of one can be resumed with the other, in the same output_dir"
    causes = [change.path for change in comparison.settings if change.kind == "result"] + list(comparison.other)
    rest = f" and {len(causes) - SHOWN} more" if len(causes) > SHOWN else ""
    because = ", ".join(causes[:SHOWN]) + rest or "stages of the tool"
    return f"the plan ids differ, because of {because}: a run of one can't be resumed with the other"


def _setting(change: Change) -> Iterator[str]:
    yield f"  {change.path} = {value_or_dash(change.old)} → {value_or_dash(change.new)}"
    for side, stated in (("A", change.old), ("B", change.new)):
        yield f"      {side}: {origin_text(stated.origin) if stated is not None else 'not there'}"


def _block(title: str, lines: Sequence[str]) -> list[str]:
    return ["", title, *(f"  {line}" for line in lines)] if lines else []


def _clips(clips: Mapping[ClipChange, tuple[str, ...]]) -> list[str]:
    lines = []
    for kind, names in clips.items():
        rest = f"; and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
        lines.append(f"{len(names):,} {_CLIPS[kind]}: {'; '.join(names[:SHOWN])}{rest}")
    return lines


def _numbers(name: str, pair: Pair) -> str:
    old, new = ("–" if value is None else amount(value) for value in (pair.old, pair.new))
    return f"{name}: {old} → {new}"


def _cost(pairs: Sequence[Pair]) -> Iterator[str]:
    for pair in pairs:
        if pair.name in _COSTS:
            peta = 1e-3 if pair.name == "step_tflop" else 1.0
            values = (pair.old or 0.0, pair.new or 0.0)  # plans of earlier versions count no validation clips
            old, new = (size(value) if pair.name == "memory_gb" else flop(value * peta) for value in values)
            yield f"{_COSTS[pair.name]}: {old} → {new}{_percent(pair)}"
        elif pair.name == "main_memory_gb" and (pair.old or pair.new):  # plans of earlier versions don't know it
            yield f"main memory: {size(pair.old or 0.0)} → {size(pair.new or 0.0)}{_percent(pair)}"
        elif pair.name in _DISK and (pair.old or pair.new):  # plans of earlier versions count no features
            yield f"{_DISK[pair.name]} on disk: {size(pair.old or 0.0)} → {size(pair.new or 0.0)}{_percent(pair)}"
        elif pair.name == "largest_bucket":
            yield f"largest bucket: {pair.old} → {pair.new}"


def _percent(pair: Pair) -> str:
    return f" ({pair.new / pair.old - 1:+.0%})" if pair.old and pair.new is not None else ""


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON values."""
    return {
        "format_version": FORMAT_VERSION,
        "same": comparison.same,
        "resumable": comparison.resumable,
        "a": _subject(comparison.a),
        "b": _subject(comparison.b),
        "settings": [
            {"path": c.path, "impact": c.kind, "old": _stated(c.old), "new": _stated(c.new)}
            for c in comparison.settings
        ],
        "clips": None if comparison.clips is None else {kind: list(names) for kind, names in comparison.clips.items()},
        "buckets": _pairs(comparison.buckets),
        "schedule": _pairs(comparison.schedule),
        "cost": _pairs(comparison.cost),
        "stages_done_anew": list(comparison.stages),
    }


def _subject(subject: Subject) -> dict[str, Any]:
    plan_id = subject.plan.plan_id if subject.plan is not None else None
    return {"name": subject.name, "kind": subject.kind, "plan_id": plan_id, "no_plan_because": subject.unplanned}


def _stated(stated: Stated | None) -> dict[str, Any] | None:
    return None if stated is None else {"value": stated.value, "origin": origin_json(stated.origin)}


def _pairs(pairs: Sequence[Pair]) -> dict[str, Any]:
    return {pair.name: {"old": pair.old, "new": pair.new} for pair in pairs}
