"""The course of training: which data sets its steps draw from, and how many samples that makes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from recipe_schema.definition import generic
from recipe_schema.ledger import ClipRow
from recipe_schema.plan import Bucket, Phase, Schedule
from recipe_schema.shares import plain, shares_of
from recipe_schema.stream import Group, Stream, group_rows, image_steps, is_image, joint_end


class IdleStepsError(Exception):
    """There are steps for which no data set is left.

    Attributes:
        step: The first of them, counted from 1.
        epoch: Its epoch, counted from 1.
    """

    def __init__(self, step: int, epoch: int) -> None:
        super().__init__(f"no data set is used at step {step}, in epoch {epoch}")
        self.step = step
        self.epoch = epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What follows from the times, sizes and shares of data sets.

    Attributes:
        schedule: How long training lasts.
        buckets: The groups of clips that share steps, in order of bucket and batch size.
    """

    schedule: Schedule
    buckets: tuple[Bucket, ...]


@dataclass(slots=True, kw_only=True)
class _Now:
    """Where the walk through the run stands."""

    step: int = 0
    epoch: int = 0
    video_pass: int = 0
    image_pass: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leg:
    """A phase, and what it takes of each group: whole numbers and fractions of passes."""

    phase: Phase
    epochs: Fraction
    taken: tuple[tuple[Stream, Fraction], ...]


def tables_by_id(values: Mapping[str, Any]) -> Mapping[str, str]:
    """Return each data set, as in ``data.datasets.0``, by its id."""
    tables = [path.removesuffix(".id") for path in values if generic(path) == "data.datasets.*.id"]
    return {values[f"{table}.id"]: table for table in tables}


def batch_sizes(values: Mapping[str, Any]) -> Mapping[str, int]:
    """Return the samples of one forward pass, by data set."""
    usual: int = values["train.batch_size"]
    tables = tables_by_id(values)
    return {name: values[f"{table}.train_batch_size"] or usual for name, table in tables.items()}


def micro_batches(values: Mapping[str, Any]) -> int:
    """Return the forward passes of one step, those of all processes together."""
    return int(values["train.gradient_accumulation_steps"] * values["launch.processes"] * values["launch.machines"])


def course(values: Mapping[str, Any], rows: Sequence[ClipRow]) -> Course:
    """Count the steps and samples of training.

    Args:
        values: Settings by path.
        rows: The trained clips, at least one.

    Raises:
        IdleStepsError: There are steps for which no data set is left.
    """
    legs = _Walk(values, rows).legs()
    epochs = sum((leg.epochs for leg in legs), Fraction(0))
    samples: dict[str, Fraction] = {}
    for stream, passes in (part for leg in legs for part in leg.taken):
        for group, mean in zip(stream.groups, stream.means, strict=True):
            key = f"{group.bucket}/{group.batch_size}"
            samples[key] = samples.get(key, Fraction(0)) + mean * passes
    steps = sum(leg.phase.steps for leg in legs)
    total = sum(samples.values(), Fraction(0))
    phases = tuple(leg.phase for leg in legs)
    whole = set(phases[0].datasets) == {row.dataset for row in rows}
    schedule = Schedule(
        max_steps=steps,
        samples_per_step=plain(total / steps),
        samples_per_epoch=plain(total / epochs),
        phases=() if len(phases) == 1 and whole else phases,
    )
    usual = values["train.batch_size"]
    groups = group_rows(rows, batch_sizes(values))
    buckets = (_bucket(g, samples.get(f"{g.bucket}/{g.batch_size}", Fraction(0)) / epochs, usual) for g in groups)
    return Course(schedule=schedule, buckets=tuple(buckets))


def count_windows(values: Mapping[str, Any], rows: Iterable[ClipRow]) -> Mapping[str, int]:
    """Count the windows of trained clips, each of which is encoded, by the buckets' names."""
    groups = group_rows([row for row in rows if row.fate == "trained"], batch_sizes(values))
    usual = values["train.batch_size"]
    return {_bucket(g, Fraction(0), usual).name: sum(len(row.starts) for row in g.rows) for g in groups}


def _bucket(group: Group, samples: Fraction, usual: int) -> Bucket:
    first = group.rows[0]
    return Bucket(
        width=first.bucket_width,
        height=first.bucket_height,
        frames=first.bucket_frames,
        clips=len(group.rows),
        samples=plain(samples),
        batch_size=None if group.batch_size == usual else group.batch_size,
    )


class _Walk:
    """Goes through a run, from one change of the data sets in use to the next."""

    def __init__(self, values: Mapping[str, Any], rows: Sequence[ClipRow]) -> None:
        tables = tables_by_id(values)
        self._values = values
        self._tables = {name: tables[name] for name in sorted({row.dataset for row in rows})}
        self._rows = rows
        self._interval: int | None = values["data.image_interval"]
        self._last_step: int | None = values["train.max_steps"]
        self._last_epoch: int | None = None if self._last_step is not None else values["train.num_epochs"]

    def legs(self) -> list[_Leg]:
        """Return the phases, of which the last one ends with training."""
        now, legs = _Now(), list[_Leg]()
        while not self._is_over(now):
            active = [name for name in self._tables if self._is_used(name, now)]
            if not active:
                raise IdleStepsError(now.step + 1, now.epoch + 1)
            leg = self._leg(active, now)
            if leg.phase.steps:
                legs.append(leg)
        return legs or [self._one_step([name for name in self._tables if self._is_used(name, _Now())])]

    def _is_over(self, now: _Now) -> bool:
        if self._last_step is not None:
            return now.step >= self._last_step
        return self._last_epoch is not None and now.epoch >= self._last_epoch

    def _time(self, name: str, key: str) -> int | None:
        value: int | None = self._values[f"{self._tables[name]}.{key}"]
        return value

    def _is_used(self, name: str, now: _Now) -> bool:
        begun = all(
            (self._time(name, key) or 0) <= at + 1 for key, at in (("start_step", now.step), ("start_epoch", now.epoch))
        )
        ends = (self._time(name, "end_step"), now.step), (self._time(name, "end_epoch"), now.epoch)
        return begun and all(end is None or at < end for end, at in ends)

    def _changes(self, unit: str, after: int, last: int | None) -> int | None:
        """Return the next step or epoch, counted from 0, at which data sets begin or end."""
        times = [last]
        for name in self._tables:
            start = self._time(name, f"start_{unit}")
            times += [(start or 1) - 1, self._time(name, f"end_{unit}")]
        return min((time for time in times if time is not None and time > after), default=None)

    def _leg(self, active: Collection[str], now: _Now) -> _Leg:
        """Return the phase that begins now, and move on to its end."""
        main, images = self._streams(active)
        by_step = self._changes("step", now.step, self._last_step)
        by_epoch = self._changes("epoch", now.epoch, self._last_epoch)
        start, end, passes = now.step, by_step, None
        if by_epoch is not None:
            steps = main.steps(by_epoch - now.epoch)
            at = start + steps if images is None else joint_end(start, steps, self._interval or 0)
            if end is None or at <= end:
                end, passes = at, by_epoch - now.epoch
        assert end is not None, "training has an end"
        of_images = 0 if images is None else self._images(end) - self._images(start)
        own = end - start - of_images
        return self._moved_on(active, now, (main, images), (own, of_images), passes)

    def _moved_on(
        self,
        active: Collection[str],
        now: _Now,
        streams: tuple[Stream, Stream | None],
        steps: tuple[int, int],
        passes: int | None,
    ) -> _Leg:
        (main, images), (own, of_images) = streams, steps
        begun = main.passes(own) if passes is None else passes
        has_images = images is None and any(is_image(group.rows[0]) for group in main.groups)
        has_videos = any(not is_image(group.rows[0]) for group in main.groups)
        first = max(now.video_pass if has_videos else 0, now.image_pass if has_images else 0)
        epochs = Fraction(own) / main.steps_per_pass
        taken = [(main, epochs)]
        phase = Phase(
            first_step=now.step,
            steps=own + of_images,
            first_epoch=now.epoch,
            epochs=float(epochs),
            datasets=tuple(active),
            first_pass=first,
            first_image_pass=now.image_pass,
        )
        now.step += own + of_images
        now.epoch += begun
        if has_videos:
            now.video_pass = first + begun
        if has_images:
            now.image_pass = first + begun
        if images is not None:
            taken.append((images, Fraction(of_images) / images.steps_per_pass))
            now.image_pass += images.passes(of_images)
        return _Leg(phase=phase, epochs=epochs, taken=tuple(taken))

    def _images(self, step: int) -> int:
        return image_steps(step, self._interval or 1)

    def _streams(self, active: Collection[str]) -> tuple[Stream, Stream | None]:
        """Return the stream of some data sets, and that of their images where those have steps of their own."""
        rows = [row for row in self._rows if row.dataset in active]
        images = [row for row in rows if is_image(row)]
        if self._interval is None or len(images) in (0, len(rows)):
            return self._stream(rows), None
        return self._stream([row for row in rows if not is_image(row)]), self._stream(images)

    def _stream(self, rows: Sequence[ClipRow]) -> Stream:
        values = self._values
        probability = {name: values[f"{table}.probability"] for name, table in self._tables.items()}
        shares = shares_of(rows, probability, uniform=values["data.sampling"] == "uniform")
        return Stream(group_rows(rows, batch_sizes(values)), micro_batches=micro_batches(values), shares=shares)

    def _one_step(self, active: Collection[str]) -> _Leg:
        """Return the one step of a training whose epochs don't fill any."""
        now = _Now()
        main, images = self._streams(active)
        return self._moved_on(active, now, (main, images), (1, 0), None)
