"""The course of a run: which samples each of its steps has, whichever data sets are in use, and which steps are of images.

Everything is a function of the step's number and the plan, so that a run that is resumed goes on with the same samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from recipe_runtime.context import Context
from recipe_runtime.order import Order, StepSamples
from recipe_schema.ledger import ClipRow
from recipe_schema.plan import Phase
from recipe_schema.sections.hardware import processes_of
from recipe_schema.shares import shares_of
from recipe_schema.stream import Stream, group_rows, image_steps, is_image


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leg:
    """The steps of a phase. ``images`` has steps of its own where the phase has images beside videos, and an interval."""

    first_step: int
    main: Order
    images: Order | None


class Course:
    """The samples of all steps of a run.

    Args:
        ctx: The run.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._interval = ctx.settings.data.image_interval
        self._legs = tuple(self._leg(phase) for phase in ctx.plan.body.schedule.phases or (_whole(ctx),))

    def step(self, number: int) -> StepSamples:
        """Return the samples of an optimizer step.

        Args:
            number: Optimizer steps before this one: the first is 0.
        """
        leg = next(leg for leg in reversed(self._legs) if leg.first_step <= number)
        if leg.images is None or self._interval is None:
            return leg.main.step(number - leg.first_step)
        before, first = image_steps(number, self._interval), image_steps(leg.first_step, self._interval)
        if image_steps(number + 1, self._interval) > before:
            return leg.images.step(before - first)
        return leg.main.step(number - leg.first_step - (before - first))

    def _leg(self, phase: Phase) -> _Leg:
        rows = [row for row in self._ctx.rows if row.dataset in phase.datasets]
        images = [row for row in rows if is_image(row)]
        if self._interval is None or len(images) in (0, len(rows)):
            return _Leg(first_step=phase.first_step, main=self._order(rows, phase.first_pass), images=None)
        videos = [row for row in rows if not is_image(row)]
        return _Leg(
            first_step=phase.first_step,
            main=self._order(videos, phase.first_pass),
            images=self._order(images, phase.first_image_pass),
        )

    def _order(self, rows: Sequence[ClipRow], first_pass: int) -> Order:
        settings, data = self._ctx.settings, self._ctx.settings.data
        shares = shares_of(rows, {one.id: one.probability for one in data.datasets}, uniform=data.sampling == "uniform")
        sizes = {one.id: one.train_batch_size or settings.train.batch_size for one in data.datasets}
        micro_batches = settings.train.gradient_accumulation_steps * processes_of(settings.launch)
        stream = Stream(group_rows(rows, sizes), micro_batches=micro_batches, shares=shares)
        return Order(stream, seed=settings.train.seed, first_pass=first_pass)


def _whole(ctx: Context) -> Phase:
    """Return the one phase of a run in which all data sets are in use from its first step to its last."""
    return Phase(
        first_step=0,
        steps=ctx.plan.body.schedule.max_steps,
        first_epoch=0,
        epochs=0,
        datasets=tuple({row.dataset for row in ctx.rows}),
        first_pass=0,
        first_image_pass=0,
    )
