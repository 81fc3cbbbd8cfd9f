"""Compare: what differs between two recipes or plans, by what it does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from recipe_compiler.subject import Stated, Subject
from recipe_schema.definition import generic
from recipe_schema.ledger import ClipRow
from recipe_schema.plan import Bucket, Plan


ChangeClass = Literal["result", "runtime", "cosmetic", "ignored"]
"""The impact of a setting; ``ignored`` is a setting that is never applied."""

ClipChange = Literal["added", "removed", "renamed", "content", "caption", "fate", "place", "repeats"]
"""What may differ of a clip. ``place`` is its bucket, window, resizing and crop."""

_PARTS = ("memory_parts_gb", "main_memory_parts_gb")

CLASSES: tuple[ChangeClass, ...] = ("result", "runtime", "cosmetic", "ignored")
CLIP_CHANGES: tuple[ClipChange, ...] = (
    "added",
    "removed",
    "renamed",
    "content",
    "caption",
    "fate",
    "place",
    "repeats",
)

_PLACE = (
    "bucket",
    "framerate",
    "start_seconds",
    "more_starts",
    "drawn",
    "resize_width",
    "resize_height",
    "crop_left",
    "crop_top",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A setting that differs.

    Attributes:
        path: The setting. Elements of ``data.datasets`` go by their id, as in ``data.datasets[mine].repeats``.
        kind: What the change does.
        old: The setting on the first side; None where it has none.
        new: The setting on the second side.
    """

    path: str
    kind: ChangeClass
    old: Stated | None
    new: Stated | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A number or a text that differs; None where a side has none."""

    name: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs.

    Attributes:
        a: The first side.
        b: The second side.
        settings: Settings that differ, in the order of the definition.
        clips: Clips that differ, in words, by what differs of them. Kinds without any are left out. None if
            the data of one side were not looked at.
        buckets: Samples of the buckets that differ.
        schedule: Lengths that differ.
        cost: Estimates that differ.
        stages: Stages whose results can't be taken over from the other side.
        other: What else makes the plan ids differ.
    """

    a: Subject
    b: Subject
    settings: tuple[Change, ...]
    clips: Mapping[ClipChange, tuple[str, ...]] | None
    buckets: tuple[Pair, ...]
    schedule: tuple[Pair, ...]
    cost: tuple[Pair, ...]
    stages: tuple[str, ...]
    other: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Nothing differs of what was compared."""
        parts = (self.settings, self.clips, self.buckets, self.schedule, self.cost, self.stages, self.other)
        return not any(parts) and self.resumable is not False

    @property
    def resumable(self) -> bool | None:
        """A run of one side can be resumed with the other; None if a side has no plan."""
        if self.a.plan is None or self.b.plan is None:
            return None
        return self.a.plan.plan_id == self.b.plan.plan_id


def compare(a: Subject, b: Subject) -> Comparison:
    """Compare two recipes or plans, as far as both were looked at."""
    clips = None if a.rows is None or b.rows is None else clip_changes(a.rows, b.rows)
    parts: dict[str, Any] = {"buckets": (), "schedule": (), "cost": (), "stages": (), "other": ()}
    if a.plan is not None and b.plan is not None:
        parts = {
            "buckets": _bucket_pairs(a.plan.body.buckets, b.plan.body.buckets),
            "schedule": _pairs(_lengths(a.plan), _lengths(b.plan)),
            "cost": _pairs(_flat(a.plan.meta["estimate"]), _flat(b.plan.meta["estimate"])),
            "stages": tuple(_redone(a.plan, b.plan)),
            "other": tuple(other_causes(a.plan, b.plan)),
        }
    return Comparison(a=a, b=b, settings=tuple(changed_settings(a, b)), clips=clips, **parts)


def changed_settings(a: Subject, b: Subject) -> Iterator[Change]:
    """Yield the settings that differ. Data sets are matched by id, wherever they stand in the list."""
    old, new = _by_name(a), _by_name(b)
    for path in [*old, *(path for path in new if path not in old)]:
        change = _change(path, old.get(path), new.get(path))
        if change is None:
            continue
        table, _, key = path.partition("].")
        if not key or (f"{table}].id" in old) == (f"{table}].id" in new):
            yield change
        elif key == "instance_data_dir":  # it stands for a data set that one side alone has
            yield replace(change, path=f"{table}]", kind="result")
    orders = [[s.value for p, s in side.items() if p.endswith("].id")] for side in (old, new)]
    common = [[name for name in order if name in orders[0] and name in orders[1]] for order in orders]
    if common[0] != common[1]:
        stated = [_order_of(side, order) for side, order in zip((old, new), orders, strict=True)]
        yield Change(path="data.datasets", kind="result", old=stated[0], new=stated[1])


def _order_of(side: Mapping[str, Stated], order: Sequence[str]) -> Stated:
    """Return the order of data sets as if it were a setting."""
    first = side[f"data.datasets[{order[0]}].id"]
    return Stated(path="data.datasets", value=list(order), origin=first.origin, impact="result", leaf=None)


def _by_name(subject: Subject) -> Mapping[str, Stated]:
    """Return all settings, those of data sets under the data set's id in place of its number."""
    ids = {p.removesuffix(".id"): s.value for p, s in subject.settings.items() if generic(p) == "data.datasets.*.id"}
    named: dict[str, Stated] = {}
    for path, stated in subject.settings.items():
        table = ".".join(path.split(".")[:3])
        named[path.replace(table, f"data.datasets[{ids[table]}]", 1) if table in ids else path] = stated
    return named


def _change(path: str, old: Stated | None, new: Stated | None) -> Change | None:
    """Compare one setting; None if it is the same."""
    if old is None or new is None:
        there = old or new
        assert there is not None, "one side has it"
        return Change(path=path, kind=there.impact, old=old, new=new)
    if old.value == new.value and old.ignored == new.ignored:
        return None
    ignored = old.effective == new.effective
    return Change(path=path, kind="ignored" if ignored else new.impact, old=old, new=new)


def clip_changes(old: Sequence[ClipRow], new: Sequence[ClipRow]) -> Mapping[ClipChange, tuple[str, ...]]:
    """Compare two ledgers, and return what differs in words."""
    before, after = {row.clip_id: row for row in old}, {row.clip_id: row for row in new}
    removed = [row for name, row in before.items() if name not in after]
    added = [row for name, row in after.items() if name not in before]
    renamed = _renamed(removed, added)
    found: dict[ClipChange, list[str]] = {kind: [] for kind in CLIP_CHANGES}
    found["renamed"] = [f"{a.clip_id} → {b.clip_id}" for a, b in renamed]
    moved = {row.clip_id for pair in renamed for row in pair}
    found["added"] = [_with_fate(row) for row in added if row.clip_id not in moved]
    found["removed"] = [_with_fate(row) for row in removed if row.clip_id not in moved]
    for name, a in before.items():
        if name in after:
            for kind, text in _row_changes(a, after[name]):
                found[kind].append(text)
    return {kind: tuple(texts) for kind, texts in found.items() if texts}


def _renamed(removed: Sequence[ClipRow], added: Sequence[ClipRow]) -> list[tuple[ClipRow, ClipRow]]:
    """Match files that went with files that came, by their bytes, where that is without doubt."""
    pairs = []
    for row in removed:
        here = [other for other in removed if other.sha256 == row.sha256]
        there = [other for other in added if other.sha256 == row.sha256]
        if row.sha256 and len(here) == len(there) == 1:
            pairs.append((row, there[0]))
    return pairs


def _with_fate(row: ClipRow) -> str:
    return row.clip_id if row.fate == "trained" else f"{row.clip_id} ({row.fate})"


def _row_changes(a: ClipRow, b: ClipRow) -> Iterator[tuple[ClipChange, str]]:
    if a.sha256 and b.sha256 and a.sha256 != b.sha256:
        yield "content", a.clip_id
    if a.fate != b.fate:
        yield "fate", f"{a.clip_id}: {a.fate} → {b.fate}" + (f" ({b.reason})" if b.reason else "")
    elif a.fate == "trained":
        if (a.texts, a.shares) != (b.texts, b.shares):
            yield "caption", f"{a.clip_id}: {_quoted(a)} → {_quoted(b)}"
        if any(getattr(a, name) != getattr(b, name) for name in _PLACE):
            same = a.bucket == b.bucket
            yield "place", a.clip_id + (": window or crop" if same else f": {a.bucket} → {b.bucket}")
        if a.repeats != b.repeats:
            yield "repeats", f"{a.clip_id}: {a.repeats} → {b.repeats}"


def _quoted(row: ClipRow) -> str:
    often = [f" ({share:.4g})" for share in row.shares] or [""] * len(row.texts)
    return " or ".join(f"`{text}`{share}" for text, share in zip(row.texts, often, strict=True))


def _bucket_pairs(old: Sequence[Bucket], new: Sequence[Bucket]) -> tuple[Pair, ...]:
    return _pairs({b.name: b.samples for b in old}, {b.name: b.samples for b in new})


def _pairs(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Pair, ...]:
    """Return the entries that differ."""
    return tuple(
        Pair(name=name, old=old.get(name), new=new.get(name))
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    )


def _flat(estimate: Mapping[str, Any]) -> dict[str, Any]:
    """Write an estimate without its inner mappings of memory parts."""
    parts = {
        f"{key}.{name}": size for key in _PARTS if key in estimate for name, size in estimate[key].items()
    }  # plans of earlier versions have one of them
    return {**{name: value for name, value in estimate.items() if name not in _PARTS}, **parts}


def _lengths(plan: Plan) -> dict[str, Any]:
    schedule = plan.body.schedule
    return {**asdict(schedule), "phases": len(schedule.phases) or 1}


def _redone(a: Plan, b: Plan) -> Iterator[str]:
    keys = {stage.id: stage.key for stage in a.body.stages}
    yield from (stage.id for stage in b.body.stages if keys.get(stage.id) != stage.key)


def other_causes(old: Plan, new: Plan) -> Iterator[str]:
    """Say what makes plan ids differ besides settings."""
    if old.body.ledger_digest != new.body.ledger_digest:
        yield f"the clips or captions ({_count(old)} → {_count(new)} trained)"
    if old.body.facts != new.body.facts:
        yield "facts of the model family"


def _count(plan: Plan) -> int:
    return sum(bucket.clips for bucket in plan.body.buckets)
