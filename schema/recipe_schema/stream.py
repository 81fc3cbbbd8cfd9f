"""How samples become optimizer steps: the arithmetic that a plan's figures and the order of samples share.

A group is what may share a step: the clips of one bucket whose data sets have the same batch size. A stream goes through
its groups in passes. In each pass a group gives its samples, or the share of them that an epoch takes, and steps are cut
from what it has given so far: what does not fill a step is carried into the next pass.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

from recipe_schema.ledger import ClipRow
from recipe_schema.shares import in_an_epoch, samples_of, taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Clips that may share a step.

    Attributes:
        name: The bucket's name, as in ``832x480@81``; with the batch size, where the bucket's data sets have several.
        bucket: The bucket's name.
        batch_size: Samples of one forward pass.
        rows: Its clips, in order of their ids.
        samples: Its samples by data set, repeats included.
    """

    name: str
    bucket: str
    batch_size: int
    rows: tuple[ClipRow, ...]
    samples: Mapping[str, int]


def is_image(row: ClipRow) -> bool:
    """Say whether a sample is an image: a clip of one frame."""
    return row.bucket_frames == 1


def image_steps(steps: int, interval: int) -> int:
    """Count the steps of images among the first so many, with one after every ``interval`` steps.

    Source: ``train_video_scripts/train_video_ivjoint.py`` of NVlabs/Sana.
    """
    return max(steps - 1, 0) // interval


def group_rows(rows: Sequence[ClipRow], batch_sizes: Mapping[str, int]) -> tuple[Group, ...]:
    """Group clips, in order of bucket and batch size.

    Args:
        rows: The clips.
        batch_sizes: Samples of one forward pass, by data set.
    """

    def place(row: ClipRow) -> tuple[str, int]:
        return row.bucket, batch_sizes[row.dataset]

    ordered = sorted(rows, key=lambda row: (*place(row), row.clip_id))
    members = {(bucket, size): tuple(group) for (bucket, size), group in groupby(ordered, key=place)}
    several = {bucket for bucket, _ in members if sum(other == bucket for other, _ in members) > 1}
    return tuple(
        Group(
            name=f"{bucket}/{size}" if bucket in several else bucket,
            bucket=bucket,
            batch_size=size,
            rows=group,
            samples=samples_of(group),
        )
        for (bucket, size), group in members.items()
    )


class Stream:
    """Steps of some groups, one pass through their samples after the other.

    Args:
        groups: At least one.
        micro_batches: Forward passes of one step, those of all processes together.
        shares: The share of its samples that a pass takes of each data set.
    """

    def __init__(self, groups: Sequence[Group], *, micro_batches: int, shares: Mapping[str, Fraction]) -> None:
        self.groups = tuple(groups)
        self.shares = shares
        self.means = tuple(in_an_epoch(group.samples, shares) for group in self.groups)
        self.sizes = tuple(group.batch_size * micro_batches for group in self.groups)

    @property
    def samples_per_pass(self) -> Fraction:
        """Samples of one pass in the mean, repeats counted."""
        return sum(self.means, Fraction(0))

    @property
    def steps_per_pass(self) -> Fraction:
        """Steps of one pass in the mean."""
        return sum((mean / size for mean, size in zip(self.means, self.sizes, strict=True)), Fraction(0))

    def given(self, group: int, passes: int) -> int:
        """Return how many samples a group has given after so many whole passes."""
        samples = self.groups[group].samples
        return sum(taken(count, self.shares[name], passes) for name, count in samples.items())

    def counts(self, passes: int) -> list[int]:
        """Return how many steps each group has given after so many whole passes."""
        return [self.given(group, passes) // size for group, size in enumerate(self.sizes)]

    def steps(self, passes: int) -> int:
        """Return how many steps there are in so many whole passes."""
        return sum(self.counts(passes))

    def passes(self, steps: int) -> int:
        """Return how many passes so many steps begin or end in: the last one may be cut short."""
        return self.pass_of_step(steps - 1) + 1 if steps else 0

    def pass_of_step(self, number: int) -> int:
        """Find the pass in which a step lies."""
        short = len(self.groups) + sum(len(group.samples) for group in self.groups)
        return _search(self.steps, number, mean=self.steps_per_pass, short=short)

    def pass_of_sample(self, group: int, index: int) -> int:
        """Find the pass in which a sample of a group lies."""
        short = len(self.groups[group].samples)
        return _search(lambda passes: self.given(group, passes), index, mean=self.means[group], short=short)


def _search(given: Callable[[int], int], number: int, *, mean: Fraction, short: int) -> int:
    """Find the pass in which a step or sample lies.

    Args:
        given: How many there were after so many passes.
        number: How many there were before this one.
        mean: How many a pass has in the mean.
        short: After p passes there are between p·mean - short and p·mean, so that the pass lies between two bounds that
            are close to each other.
    """
    low, high = math.floor(number / mean), math.ceil((number + 1 + short) / mean)
    return low + bisect_right(range(low, high), number, key=lambda passes: given(passes + 1))


def joint_end(start: int, videos: int, interval: int) -> int:
    """Return the step after ``start`` at which so many steps of videos are done, with images in between."""

    def done(end: int) -> int:
        return end - start - (image_steps(end, interval) - image_steps(start, interval))

    return start + bisect_left(range(start, start + 2 * videos + 2), videos, key=done)
