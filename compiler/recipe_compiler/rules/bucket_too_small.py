"""A bucket has fewer samples than one optimizer step takes.

What it does: for every bucket, compares its samples (clips, each counted `repeats` + 1 times, and with
`video.window: uniform` each window of a clip) with `train.batch_size` × `train.gradient_accumulation_steps` ×
`launch.processes` × `launch.machines`. All samples of one step come from one bucket. Data sets with a
`train_batch_size` of their own are counted apart, with that.

Why it hurts: other trainers drop such a bucket in silence, or stop after the model is loaded.

Example:
    train:
      batch_size: 2
      gradient_accumulation_steps: 8

Use instead:
    train:
      batch_size: 2
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from recipe_compiler.data.course import batch_sizes, micro_batches
from recipe_compiler.rules.data_sets import all_in_sight
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import SHOWN, counted, lacks_captions
from recipe_schema.stream import Group, group_rows


BATCH, ACCUMULATION = "train.batch_size", "train.gradient_accumulation_steps"
PROCESSES, MACHINES = "launch.processes", "launch.machines"
COUNTED = (BATCH, ACCUMULATION, PROCESSES, MACHINES)


def check(facts: Facts) -> Iterator[Finding]:
    """Compare each bucket with a step. All that are too small for the same step make one finding: they have one cause."""
    assert facts.survey is not None
    settings, survey = facts.settings, facts.survey
    if not all_in_sight(settings, survey.looked) or any(lacks_captions(facts, t) for t in survey.looked):
        return  # there will be more samples once something else is put right
    batches = micro_batches(settings.values())
    small: dict[int, list[Group]] = defaultdict(list)
    for group in group_rows(survey.trained(), batch_sizes(settings.values())):
        if _samples(group) < group.batch_size * batches:
            small[group.batch_size].append(group)
    for size, groups in small.items():
        yield _finding(facts, groups, size * batches)


def _finding(facts: Facts, small: Sequence[Group], needed: int) -> Finding:
    settings, size = facts.settings, small[0].batch_size
    together = settings[PROCESSES] * settings[MACHINES]
    processes = f" × {together} processes" if together > 1 else ""
    own = [f"{table}.train_batch_size" for table in _tables(facts, small[0])]
    given = [path for path in own if settings[path] is not None]
    name = "train_batch_size" if given else "batch_size"
    step = f"{needed} ({name} {size} × gradient_accumulation_steps {settings[ACCUMULATION]}{processes})"
    counts = ", ".join(_count(group) for group in small[:SHOWN])
    rest = f" and {len(small) - SHOWN} more buckets too few" if len(small) > SHOWN else ""
    place = _place(facts, small, given)
    counts_here = (*given, *(path for path in COUNTED if path != BATCH or not given))
    return Finding(
        at=place,
        message=f"{counts}{rest}, and a step needs {step}",
        help=f"{_repeats(facts, small, needed)}, add clips of this shape, or make the batch smaller",
        also=tuple((path, "counted here") for path in counts_here if settings.given(path) and path != place),
    )


def _samples(group: Group) -> int:
    return sum(group.samples.values())


def _count(group: Group) -> str:
    samples, clips = counted(_samples(group), "sample"), counted(len(group.rows), "clip")
    several = sum(len(row.items) for row in group.rows) > len(group.rows)
    return f"bucket `{group.bucket}` has {samples} ({clips} with {'windows and repeats' if several else 'repeats'})"


def _place(facts: Facts, small: Sequence[Group], own: Sequence[str]) -> str:
    """Point at what was written: repeats, else the batch, else the data set."""
    table = next(iter(_tables(facts, small[0])))
    given = [path for path in (f"{table}.repeats", *own, *COUNTED) if facts.settings.given(path)]
    return given[0] if given else table


def _tables(facts: Facts, group: Group) -> dict[str, int]:
    """Return the data sets that have clips in a bucket and how many an epoch has, windows counted, most first."""
    assert facts.survey is not None
    counts: Counter[str] = Counter()
    for row in group.rows:
        counts[row.dataset] += len(row.items)
    tables = {facts.settings[f"{table}.id"]: table for table in facts.survey.looked}
    return {tables[dataset]: clips for dataset, clips in counts.most_common()}


def _repeats(facts: Facts, small: Sequence[Group], needed: int) -> str:
    """Say repeats that fill a step in every bucket, none of which could be lower.

    Each bucket in turn raises those of the data set with most clips in it. What a later bucket raised may fill an
    earlier one as well, so each is then lowered as far as the others allow.
    """
    buckets = [_tables(facts, group) for group in small]
    now = {table: int(facts.settings[f"{table}.repeats"]) for clips in buckets for table in clips}
    least = dict(now)

    def required(table: str, clips: dict[str, int]) -> int:
        others = sum(count * (least[other] + 1) for other, count in clips.items() if other != table)
        return max(now[table], -(-(needed - others) // clips[table]) - 1)

    for clips in buckets:
        most = next(iter(clips))
        least[most] = max(least[most], required(most, clips))
    for table in least:
        least[table] = max(required(table, clips) for clips in buckets if table in clips)
    return " and ".join(
        f"set `repeats: {least[table]}` for data set `{facts.settings[f'{table}.id']}`"
        for table in least
        if least[table] > now[table]
    )


RULE = Rule(
    code="R303",
    name="bucket-smaller-than-step",
    severity="error",
    reads=(*COUNTED, "data.on_missing_caption", "data.datasets.*.train_batch_size"),
    check=check,
    page=__doc__,
)
