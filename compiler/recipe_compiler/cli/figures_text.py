"""What follows from a recipe or a plan, in words."""

from collections.abc import Iterator, Sequence

from recipe_compiler.cli.plan_text import clips_of_bucket, clips_text, cost_text, count_text, phase_lines
from recipe_compiler.passes.figures import BucketFigures, Figures, Group, fates, figures, left_out
from recipe_compiler.subject import Subject


_BAR = 20
"""Characters of the longest bar of the histogram."""

_LONGEST = 72
"""Characters of a clip's name."""


def figures_text(subject: Subject) -> list[str]:
    """Say what follows from the settings and the data, a line each."""
    plan, rows = subject.plan, subject.rows
    if plan is None:
        return [*_found(subject), f"What follows from these settings is left out: {subject.unplanned}."]
    if rows is None:
        return ["What follows from these settings is left out: the ledger can't be used."]
    counted = figures(plan, rows, subject.family)
    return [
        "what follows",
        f"  clips      {clips_text(counted.fates)}",
        *_groups(f"left out: {sum(group.count for group in counted.left_out):,}", counted.left_out),
        *_groups("trained, and worth a look", counted.notable),
        *_histogram(counted),
        *(f"  data sets  {line}" for line in phase_lines(plan)),
        f"  batch      {batch_text(counted)}",
        f"  epoch      {epoch_text(counted)}",
        f"  training   {training_text(counted)}",
        *(f"  {line}" for line in cost_text(plan.meta["estimate"])),
        f"  plan       {plan.plan_id}",
    ]


def _found(subject: Subject) -> Iterator[str]:
    """Tell of the files where there is no plan: they are there all the same, and may be what is wrong."""
    if subject.rows:
        left = left_out(subject.rows)
        yield "what was found"
        yield f"  clips      {clips_text(fates(subject.rows))}"
        yield from _groups(f"left out: {sum(group.count for group in left):,}", left)
        yield ""


def batch_text(counted: Figures) -> str:
    """Say how large a step is."""
    processes = f" × {counted.processes} processes" if counted.processes > 1 else ""
    own = any(bucket.batch_size != counted.batch_size for bucket in counted.buckets)
    sizes = sorted({bucket.batch_size for bucket in counted.buckets})
    batches = f"batches of {' or '.join(map(str, sizes))}" if own else f"batch_size {counted.batch_size}"
    mean = " in the mean" if len(sizes) > 1 else ""
    samples = count_text(counted.samples_per_step, "sample")
    return f"{samples} a step{mean}: {batches} × {counted.accumulation} accumulated{processes}"


def epoch_text(counted: Figures) -> str:
    """Say how long an epoch is."""
    return f"{count_text(counted.samples_per_epoch, 'sample')}, {count_text(counted.steps_per_epoch, 'step')}"


def training_text(counted: Figures) -> str:
    """Say how long training is."""
    return f"{count_text(counted.max_steps, 'step')}, {samples_text(counted)}"


def samples_text(counted: Figures) -> str:
    """Say how much training sees."""
    return f"{count_text(counted.samples, 'sample')}, {count_text(counted.epochs, 'epoch')}"


def bucket_text(bucket: BucketFigures, counted: Figures) -> str:
    """Say what a bucket holds and what the model sees of it."""
    batches = ""
    if counted.processes > 1 or bucket.batch_size != counted.batch_size:
        each = f" on each of {counted.processes} processes" if counted.processes > 1 else ""
        batches = f" ({round(bucket.batches, 2):,.10g} batches of {bucket.batch_size}{each})"
    shape = "×".join(str(n) for n in bucket.latent_shape)
    return (
        f"{clips_of_bucket(bucket.clips, bucket.windows)}, {count_text(bucket.samples, 'sample')} an epoch, "
        f"{count_text(bucket.steps, 'step')}{batches}; "
        f"latents {shape}, {bucket.tokens:,} tokens"
    )


def _groups(title: str, groups: Sequence[Group]) -> Iterator[str]:
    """Tell of groups of files: a line for each, and one for each of its worst."""
    if not groups:
        return
    yield f"  {title}"
    width = max(len(f"{group.count:,}") for group in groups)
    for group in groups:
        yield f"    {group.count:>{width},} × {group.what}"
        for name, text in group.worst:
            yield f"    {'':{width}}   {short(name)}{f': {text}' if text else ''}"
        if group.count > len(group.worst):
            yield f"    {'':{width}}   and {group.count - len(group.worst):,} more"


def short(name: str) -> str:
    """Cut a very long name in its middle."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST // 2]}…{name[-_LONGEST // 2 + 1 :]}"


def _histogram(counted: Figures) -> Iterator[str]:
    buckets = counted.buckets
    width = max(len(bucket.name) for bucket in buckets)
    most = max(bucket.samples for bucket in buckets)
    for bucket in buckets:
        bar = "█" * max(round(_BAR * bucket.samples / most), 1)
        yield f"  bucket     {bucket.name:<{width}}  {bar:<{_BAR}}  {bucket_text(bucket, counted)}"
