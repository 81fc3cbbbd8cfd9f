"""A data set is not larger than one batch of the VAE.

What it does: compares the samples of each data set (clips, each counted `repeats` + 1 times, and with
`video.window: uniform` each window of a clip) with `data.vae_batch_size`.

Why it hurts: a data set has to be larger than the batch in which it is encoded. One clip alone, shown again and
again, is learnt by heart within minutes; if that is what you want, say so with `repeats`.

Example:
    data:
      vae_batch_size: 64

Use instead:
    data:
      vae_batch_size: 2
"""

from collections.abc import Iterator

from recipe_compiler.data.course import batch_sizes, micro_batches
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted, lacks_captions


BATCH = "data.vae_batch_size"
STEP = ("train.batch_size", "train.gradient_accumulation_steps", "launch.processes", "launch.machines")


def check(facts: Facts) -> Iterator[Finding]:
    """Compare each data set with a batch of the VAE."""
    assert facts.survey is not None
    settings = facts.settings
    size, batches, values = settings[BATCH], micro_batches(settings.values()), settings.values()
    for table in facts.survey.looked:
        name = settings[f"{table}.id"]
        trained = [row for row in facts.survey.of(name) if row.fate == "trained"]
        items = sum(len(row.items) for row in trained)
        samples = items * (settings[f"{table}.repeats"] + 1)
        if not trained or samples > size or lacks_captions(facts, table):
            continue
        step = batch_sizes(values)[name] * batches
        names = sorted({row.bucket for row in trained})
        if step > size and any(bucket.samples < step for bucket in facts.survey.buckets if bucket.name in names):
            continue  # another rule says that a step can't be filled, and its repair is the larger one
        buckets = ", ".join(f"`{name}`" for name in names)
        what = "windows and repeats" if items > len(trained) else "repeats"
        yield Finding(
            at=f"{table}.repeats" if settings.given(f"{table}.repeats") else table,
            message=(
                f"data set `{name}` has {counted(samples, 'sample')} "
                f"({counted(len(trained), 'clip')} with {what}, bucket {buckets}) and needs more than "
                f"`data.vae_batch_size`, that is at least {size + 1}"
            ),
            help=f"set `repeats: {size // items}`, add clips, or lower data.vae_batch_size",
            also=((BATCH, "given here"),) if settings.given(BATCH) else (),
        )


RULE = Rule(
    code="R304",
    name="data-set-not-larger-than-vae-batch",
    severity="error",
    reads=(*STEP, BATCH, "data.datasets.*.train_batch_size"),
    check=check,
    page=__doc__,
)
