"""A bucket has fewer samples than one optimizer step takes.

What it does: for every bucket, compares its samples (clips, each counted `repeats` + 1 times) with
`train.batch_size` × `train.gradient_accumulation_steps`. All samples of one step come from one bucket.

Why it hurts: other trainers drop such a bucket in silence, or stop after the model is loaded.

Example:
    train:
      batch_size: 2
      gradient_accumulation_steps: 8

Use instead:
    train:
      batch_size: 2
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recipe_compiler.rules.rule import Facts, Finding, Rule


if TYPE_CHECKING:  # plan and ledger cost more to load than a lint without data takes
    from recipe_schema.plan import Bucket


BATCH, ACCUMULATION = "train.batch_size", "train.gradient_accumulation_steps"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare each bucket with a step."""
    assert facts.survey is not None
    settings = facts.settings
    needed = settings[BATCH] * settings[ACCUMULATION]
    for bucket in facts.survey.buckets:
        if bucket.samples >= needed:
            continue
        table, repeats = _largest(facts, bucket, needed)
        name = settings[f"{table}.id"]
        yield Finding(
            at=f"{table}.repeats" if settings.given(f"{table}.repeats") else table,
            message=(
                f"bucket `{bucket.name}` has {bucket.samples} sample{'s' * (bucket.samples != 1)} "
                f"({bucket.clips} clip{'s' * (bucket.clips != 1)} with repeats) and a step needs {needed} "
                f"(batch_size {settings[BATCH]} × gradient_accumulation_steps {settings[ACCUMULATION]})"
            ),
            help=f"set `repeats: {repeats}` for data set `{name}`, add clips of this shape, or make the batch smaller",
            also=tuple((path, "counted here") for path in (BATCH, ACCUMULATION) if settings.given(path)),
        )


def _largest(facts: Facts, bucket: "Bucket", needed: int) -> tuple[str, int]:
    """Return the data set with most clips in a bucket, and the fewest repeats of it that fill a step."""
    assert facts.survey is not None
    counts: dict[str, int] = {}
    others = 0
    for row in facts.survey.trained():
        if row.bucket == bucket.name:
            counts[row.dataset] = counts.get(row.dataset, 0) + 1
            others += row.repeats + 1
    dataset = max(counts, key=lambda name: counts[name])
    (table,) = (t for t in facts.settings.tables("data.datasets") if facts.settings[f"{t}.id"] == dataset)
    others -= counts[dataset] * (facts.settings[f"{table}.repeats"] + 1)
    return table, -(-(needed - others) // counts[dataset]) - 1


RULE = Rule(
    code="R303",
    name="bucket-smaller-than-step",
    severity="error",
    reads=("data.datasets", "data.buckets", "data.framerate", BATCH, ACCUMULATION),
    check=check,
    page=__doc__,
    needs_survey=True,
)
