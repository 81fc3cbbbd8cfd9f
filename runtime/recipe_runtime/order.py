"""Which samples make up an optimizer step of a stream: a pure function of the step's number.

Each group has an endless stream of samples: a permutation of its clips (with their repeats) for each pass,
one after the other. Of a data set that gives only a share of its samples, a pass has those that come first in the
permutation. An optimizer step takes the next samples of one group. What a pass leaves over begins the
group's next step, so nothing is ever dropped and nothing has to be remembered.

Each window of a clip is a sample of its own, or each sample has one that is drawn: of a clip of n windows, n samples that
follow each other have all of them, in an order that is drawn anew for the next n.
"""

import functools
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

import torch

from recipe_runtime.randomness import generator
from recipe_schema.ledger import ClipRow
from recipe_schema.shares import taken
from recipe_schema.stream import Stream


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
        batch_size: Samples of one forward pass.
        samples: In order; micro-batches are consecutive slices.
    """

    bucket: str
    batch_size: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Epoch:
    """The steps of one epoch: for each the group's index and the how-manieth step of that group it is."""

    first_step: int
    groups: torch.Tensor
    steps_of_group: torch.Tensor


class Order:
    """The order of samples of a stream.

    Args:
        stream: What shares a step, and how much each pass takes.
        seed: The run's seed.
        first_pass: The number that the first pass has: all that is drawn for a pass follows from its number.
    """

    def __init__(self, stream: Stream, *, seed: int, first_pass: int = 0) -> None:
        self._stream = stream
        self._members = tuple(
            [(item, repeat) for row in group.rows for item in row.items for repeat in range(row.repeats + 1)]
            for group in stream.groups
        )
        self._seed = seed
        self._first = first_pass
        # Steps follow each other, so the current pass of each group and the one before it are all that is used.
        self._permutation = functools.lru_cache(maxsize=2 * len(stream.groups))(self._draw_permutation)
        self._epoch = functools.lru_cache(maxsize=2)(self._draw_epoch)

    @property
    def samples_per_epoch(self) -> Fraction:
        """Samples of one pass through all groups in the mean, repeats counted."""
        return self._stream.samples_per_pass

    def step(self, number: int) -> StepSamples:
        """Return the samples of an optimizer step.

        Args:
            number: Optimizer steps before this one: the first is 0.
        """
        epoch = self._epoch(self._stream.pass_of_step(number))
        place = number - epoch.first_step
        index = int(epoch.groups[place])
        group, size = self._stream.groups[index], self._stream.sizes[index]
        first = int(epoch.steps_of_group[place]) * size
        samples = tuple(self._sample(index, sample) for sample in range(first, first + size))
        return StepSamples(bucket=group.bucket, batch_size=group.batch_size, samples=samples)

    def _sample(self, group: int, index: int) -> Sample:
        epoch = self._stream.pass_of_sample(group, index)
        place = index - self._stream.given(group, epoch)
        row, repeat = self._members[group][int(self._permutation(group, epoch)[place])]
        number = self._first + epoch
        return Sample(row=self._window(row, number, repeat) if row.drawn else row, epoch=number, repeat=repeat)

    def _window(self, row: ClipRow, epoch: int, repeat: int) -> ClipRow:
        """Return the window that a sample has, of a clip of which each sample has one."""
        windows = row.windows
        turn, place = divmod(epoch * (row.repeats + 1) + repeat, len(windows))
        draw = generator(self._seed, "window", turn, row.clip_id)
        return windows[int(torch.randperm(len(windows), generator=draw)[place])]

    def _draw_permutation(self, group: int, epoch: int) -> torch.Tensor:
        members, samples = self._members[group], self._stream.groups[group].samples
        draw = generator(self._seed, "order", self._stream.groups[group].name, self._first + epoch)
        whole = torch.randperm(len(members), generator=draw)
        shares = self._stream.shares
        if all(shares[name] == 1 for name in samples):
            return whole
        left = Counter[str]()
        for name, count in samples.items():
            left[name] = taken(count, shares[name], epoch + 1) - taken(count, shares[name], epoch)
        chosen = []
        for index in whole.tolist():
            name = members[index][0].dataset
            if left[name]:
                left[name] -= 1
                chosen.append(index)
        return torch.tensor(chosen, dtype=torch.int64)

    def _draw_epoch(self, epoch: int) -> _Epoch:
        before, after = self._stream.counts(epoch), self._stream.counts(epoch + 1)
        steps = [torch.arange(start, end) for start, end in zip(before, after, strict=True)]
        slots = torch.cat([torch.full_like(these, index) for index, these in enumerate(steps)])
        draw = generator(self._seed, "bucket-order", self._first + epoch)
        groups = slots[torch.randperm(len(slots), generator=draw)]
        # Sorted by group, the steps of each group stand in the order of the epoch: number them in that order.
        steps_of_group = torch.empty_like(groups)
        steps_of_group[torch.argsort(groups, stable=True)] = torch.cat(steps)
        return _Epoch(first_step=sum(before), groups=groups, steps_of_group=steps_of_group)
