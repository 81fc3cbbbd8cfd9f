"""A bucket has fewer samples than one optimizer step takes.

What it does: for every bucket, compares its samples (clips, each counted `repeats` + 1 times) with
`train.batch_size` × `train.gradient_accumulation_steps` × `launch.processes` × `launch.machines`. All samples of one step come from one
bucket.

Why it hurts: other trainers drop such a bucket in silence, or stop after the model is loaded.

Example:
    train:
      batch_size: 2
      gradient_accumulation_steps: 8

Use instead:
    train:
      batch_size: 2
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from recipe_compiler.rules.data_sets import all_in_sight
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import SHOWN, counted, lacks_captions


if TYPE_CHECKING:  # plan and ledger cost more to load than a lint without data takes
    from recipe_schema.plan import Bucket


BATCH, ACCUMULATION = "train.batch_size", "train.gradient_accumulation_steps"
PROCESSES, MACHINES = "launch.processes", "launch.machines"
COUNTED = (BATCH, ACCUMULATION, PROCESSES, MACHINES)


def check(facts: Facts) -> Iterator[Finding]:
    """Compare each bucket with a step. All that are too small make one finding: they have one cause."""
    assert facts.survey is not None
    settings, survey = facts.settings, facts.survey
    if not all_in_sight(settings, survey.looked) or any(lacks_captions(facts, t) for t in survey.looked):
        return  # there will be more samples once something else is put right
    together = settings[PROCESSES] * settings[MACHINES]
    needed = settings[BATCH] * settings[ACCUMULATION] * together
    small = [bucket for bucket in survey.buckets if bucket.samples < needed]
    if not small:
        return
    processes = f" × {together} processes" if together > 1 else ""
    step = f"{needed} (batch_size {settings[BATCH]} × gradient_accumulation_steps {settings[ACCUMULATION]}{processes})"
    counts = ", ".join(_count(bucket) for bucket in small[:SHOWN])
    rest = f" and {len(small) - SHOWN} more buckets too few" if len(small) > SHOWN else ""
    yield Finding(
        at=_place(facts, small),
        message=f"{counts}{rest}, and a step needs {step}",
        help=f"{_repeats(facts, small, needed)}, add clips of this shape, or make the batch smaller",
        also=tuple((path, "counted here") for path in COUNTED if settings.given(path)),
    )


def _count(bucket: "Bucket") -> str:
    return (
        f"bucket `{bucket.name}` has {counted(bucket.samples, 'sample')} ({counted(bucket.clips, 'clip')} with repeats)"
    )


def _place(facts: Facts, small: Sequence["Bucket"]) -> str:
    """Point at what was written: repeats, else the batch, else the data set."""
    table = next(iter(_tables(facts, small[0])))
    given = [path for path in (f"{table}.repeats", *COUNTED) if facts.settings.given(path)]
    return given[0] if given else table


def _tables(facts: Facts, bucket: "Bucket") -> dict[str, int]:
    """Return the data sets that have clips in a bucket and how many, that with most clips first."""
    assert facts.survey is not None
    counts = Counter(row.dataset for row in facts.survey.trained() if row.bucket == bucket.name)
    tables = {facts.settings[f"{table}.id"]: table for table in facts.survey.looked}
    return {tables[dataset]: clips for dataset, clips in counts.most_common()}


def _repeats(facts: Facts, small: Sequence["Bucket"], needed: int) -> str:
    """Say repeats that fill a step in every bucket, none of which could be lower.

    Each bucket in turn raises those of the data set with most clips in it. What a later bucket raised may fill an
    earlier one as well, so each is then lowered as far as the others allow.
    """
    buckets = [_tables(facts, bucket) for bucket in small]
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
    reads=(*COUNTED, "data.on_missing_caption"),
    check=check,
    page=__doc__,
)
