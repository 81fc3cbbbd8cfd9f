"""Which samples make up an optimizer step: a pure function of the step's number.

Each bucket has an endless stream of samples: a permutation of its clips (with their repeats) for each pass,
one after the other. Of a data set that gives only a share of its samples, a pass has those that come first in the
permutation. An optimizer step takes the next samples of one bucket. What a pass leaves over begins the
bucket's next step, so nothing is ever dropped and nothing has to be remembered.

Each window of a clip is a sample of its own, or each sample has one that is drawn: of a clip of n windows, n samples that
follow each other have all of them, in an order that is drawn anew for the next n.
"""

import functools
import itertools
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch

from recipe_runtime.context import Context
from recipe_runtime.randomness import generator
from recipe_schema.ledger import ClipRow
from recipe_schema.shares import in_an_epoch, samples_of, shares_of, taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One use of a clip, or of one of its windows: in which pass through its bucket, and which repeat of that pass."""

    row: ClipRow
    epoch: int
    repeat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSamples:
    """The samples of one optimizer step, all of one bucket.

    Attributes:
        bucket: The bucket's name, as in ``832x480@81``.
        samples: In order; micro-batches are consecutive slices.
    """

    bucket: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Epoch:
    """The steps of one epoch: for each the bucket's index and the how-manieth step of that bucket it is."""

    first_step: int
    buckets: torch.Tensor
    steps_of_bucket: torch.Tensor


def shares(ctx: Context) -> Mapping[str, Fraction]:
    """Return the share of its samples that an epoch of a run takes of each data set."""
    data = ctx.settings.data
    probability = {dataset.id: dataset.probability for dataset in data.datasets}
    return shares_of(ctx.rows, probability, uniform=data.sampling == "uniform")


class Order:
    """The order of samples of a run.

    Args:
        rows: The trained clips.
        seed: The run's seed.
        samples_per_step: Samples of one optimizer step: batch size times accumulation.
        shares: The share of its samples that a pass takes of each data set.
    """

    def __init__(
        self, rows: Sequence[ClipRow], *, seed: int, samples_per_step: int, shares: Mapping[str, Fraction]
    ) -> None:
        ordered = sorted(rows, key=lambda row: (row.bucket, row.clip_id))
        groups = {name: list(members) for name, members in itertools.groupby(ordered, key=lambda row: row.bucket)}
        self._names = tuple(groups)
        self._members = tuple(
            [(item, repeat) for row in members for item in row.items for repeat in range(row.repeats + 1)]
            for members in groups.values()
        )
        self._samples = tuple(samples_of(members) for members in groups.values())
        self._shares = shares
        self._means = tuple(in_an_epoch(samples, shares) for samples in self._samples)
        self._seed = seed
        self._group = samples_per_step
        # Steps follow each other, so the current pass of each bucket and the one before it are all that is used.
        self._permutation = functools.lru_cache(maxsize=2 * len(self._names))(self._draw_permutation)
        self._epoch = functools.lru_cache(maxsize=2)(self._draw_epoch)

    @property
    def samples_per_epoch(self) -> Fraction:
        """Samples of one pass through all buckets in the mean, repeats counted."""
        return sum(self._means, Fraction(0))

    def step(self, number: int) -> StepSamples:
        """Return the samples of an optimizer step.

        Args:
            number: Optimizer steps before this one: the first is 0.
        """
        epoch = self._epoch(self._epoch_of(number))
        place = number - epoch.first_step
        bucket, first = int(epoch.buckets[place]), int(epoch.steps_of_bucket[place]) * self._group
        samples = tuple(self._sample(bucket, index) for index in range(first, first + self._group))
        return StepSamples(bucket=self._names[bucket], samples=samples)

    def _sample(self, bucket: int, index: int) -> Sample:
        def given(epochs: int) -> int:
            return self._given(bucket, epochs)

        epoch = _search(given, index, mean=self._means[bucket], short=len(self._samples[bucket]))
        row, repeat = self._members[bucket][int(self._permutation(bucket, epoch)[index - given(epoch)])]
        return Sample(row=self._window(row, epoch, repeat) if row.drawn else row, epoch=epoch, repeat=repeat)

    def _window(self, row: ClipRow, epoch: int, repeat: int) -> ClipRow:
        """Return the window that a sample has, of a clip of which each sample has one."""
        windows = row.windows
        turn, place = divmod(epoch * (row.repeats + 1) + repeat, len(windows))
        draw = generator(self._seed, "window", turn, row.clip_id)
        return windows[int(torch.randperm(len(windows), generator=draw)[place])]

    def _given(self, bucket: int, epochs: int) -> int:
        """Return how many samples a bucket has given after so many whole epochs."""
        return sum(taken(count, self._shares[name], epochs) for name, count in self._samples[bucket].items())

    def _counts(self, epochs: int) -> list[int]:
        """Return how many steps each bucket has given after so many whole epochs."""
        return [self._given(bucket, epochs) // self._group for bucket in range(len(self._names))]

    def _epoch_of(self, number: int) -> int:
        """Find the epoch in which a step lies."""
        mean = self.samples_per_epoch / self._group
        short = len(self._names) + sum(map(len, self._samples))
        return _search(lambda epochs: sum(self._counts(epochs)), number, mean=mean, short=short)

    def _draw_permutation(self, bucket: int, epoch: int) -> torch.Tensor:
        members = self._members[bucket]
        draw = generator(self._seed, "order", self._names[bucket], epoch)
        whole = torch.randperm(len(members), generator=draw)
        if all(self._shares[name] == 1 for name in self._samples[bucket]):
            return whole
        left = Counter[str]()
        for name, count in self._samples[bucket].items():
            left[name] = taken(count, self._shares[name], epoch + 1) - taken(count, self._shares[name], epoch)
        chosen = []
        for index in whole.tolist():
            name = members[index][0].dataset
            if left[name]:
                left[name] -= 1
                chosen.append(index)
        return torch.tensor(chosen, dtype=torch.int64)

    def _draw_epoch(self, epoch: int) -> _Epoch:
        before, after = self._counts(epoch), self._counts(epoch + 1)
        steps = [torch.arange(start, end) for start, end in zip(before, after, strict=True)]
        slots = torch.cat([torch.full_like(these, index) for index, these in enumerate(steps)])
        draw = generator(self._seed, "bucket-order", epoch)
        buckets = slots[torch.randperm(len(slots), generator=draw)]
        # Sorted by bucket, the steps of each bucket stand in the order of the epoch: number them in that order.
        steps_of_bucket = torch.empty_like(buckets)
        steps_of_bucket[torch.argsort(buckets, stable=True)] = torch.cat(steps)
        return _Epoch(first_step=sum(before), buckets=buckets, steps_of_bucket=steps_of_bucket)


def _search(given: Callable[[int], int], number: int, *, mean: Fraction, short: int) -> int:
    """Find the epoch in which a step or sample lies.

    Args:
        given: How many there were after so many epochs.
        number: How many there were before this one.
        mean: How many an epoch has in the mean.
        short: After e epochs there are between e·mean - short and e·mean, so that the epoch lies between two bounds that
            are close to each other.
    """
    low, high = math.floor(number / mean), math.ceil((number + 1 + short) / mean)
    return low + bisect_right(range(low, high), number, key=lambda epoch: given(epoch + 1))
