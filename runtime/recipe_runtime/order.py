"""Which samples make up an optimizer step: a pure function of the step's number.

Each bucket has an endless stream of samples: a permutation of its clips (with their repeats) for each pass,
one after the other. An optimizer step takes the next samples of one bucket. What a pass leaves over begins the
bucket's next step, so nothing is ever dropped and nothing has to be remembered.
"""

import functools
import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from recipe_runtime.randomness import generator
from recipe_schema.ledger import ClipRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One use of a clip: in which pass through its bucket, and which of the repeats of that pass."""

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


class Order:
    """The order of samples of a run.

    Args:
        rows: The trained clips.
        seed: The run's seed.
        samples_per_step: Samples of one optimizer step: batch size times accumulation.
    """

    def __init__(self, rows: Sequence[ClipRow], *, seed: int, samples_per_step: int) -> None:
        ordered = sorted(rows, key=lambda row: (row.bucket, row.clip_id))
        groups = {name: list(members) for name, members in itertools.groupby(ordered, key=lambda row: row.bucket)}
        self._names = tuple(groups)
        self._members = tuple(
            [(row, repeat) for row in members for repeat in range(row.repeats + 1)] for members in groups.values()
        )
        self._seed = seed
        self._group = samples_per_step
        # Steps follow each other, so the current pass of each bucket and the one before it are all that is used.
        self._permutation = functools.lru_cache(maxsize=2 * len(self._names))(self._draw_permutation)
        self._epoch = functools.lru_cache(maxsize=2)(self._draw_epoch)

    @property
    def samples_per_epoch(self) -> int:
        """Samples of one pass through all buckets, repeats counted."""
        return sum(len(members) for members in self._members)

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
        members = self._members[bucket]
        epoch, place = divmod(index, len(members))
        row, repeat = members[int(self._permutation(bucket, epoch)[place])]
        return Sample(row=row, epoch=epoch, repeat=repeat)

    def _counts(self, epochs: int) -> list[int]:
        """Return how many steps each bucket has given after so many whole epochs."""
        return [epochs * len(members) // self._group for members in self._members]

    def _epoch_of(self, number: int) -> int:
        """Find the epoch in which a step lies.

        After e epochs of N samples in B buckets there were between e·N/G - B and e·N/G steps of G samples, so
        the epoch lies between two bounds that are close to each other.
        """
        whole, group = self.samples_per_epoch, self._group
        low = number * group // whole
        high = (number + len(self._names) + 1) * group // whole + 1
        return low + bisect_right(range(low, high), number, key=lambda e: sum(self._counts(e + 1)))

    def _draw_permutation(self, bucket: int, epoch: int) -> torch.Tensor:
        draw = generator(self._seed, "order", self._names[bucket], epoch)
        return torch.randperm(len(self._members[bucket]), generator=draw)

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
