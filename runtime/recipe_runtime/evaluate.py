"""The evaluation loss: the error on clips that are not trained, with the same noise at every step and in every run.

The loss of a training step rises and falls with the noise levels that it draws. Here each clip has one noise of its own,
made of its content alone, and meets the same levels each time, evenly spaced over the table of the training's schedule. So
the figure moves for one reason, that the weights did. It is the plain mean squared error, whatever the training's loss is.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from recipe_runtime.batches import MicroBatch, pad_texts
from recipe_runtime.context import Context
from recipe_runtime.first_frame import CLEAN, first_frames, image_to_video
from recipe_runtime.inputs import mixture, predict
from recipe_runtime.interlude import interlude
from recipe_runtime.noise import SCHEDULES, NoiseLevel
from recipe_runtime.objective import mean_squared_errors, velocity
from recipe_runtime.randomness import generator
from recipe_runtime.state import TrainState
from recipe_schema.events import Evaluated
from recipe_schema.ledger import ClipRow
from recipe_schema.plan import Schedule
from recipe_schema.sections.evaluation import Evaluation


_SEED = 0
"""Seed of the noise of all runs: figures of two runs can be compared."""

_POOL = "all"
"""The name of the figure for all data sets together."""


class Evaluator:
    """Measures the weights as they are.

    Args:
        ctx: The run.
        latents: Key in the store of each clip's latents, by ``clip_id``.
        texts: Key in the store of each text, by text and whether the instruction comes before it.
    """

    def __init__(self, ctx: Context, *, latents: Mapping[str, str], texts: Mapping[tuple[str, bool], str]) -> None:
        self._ctx = ctx
        self._latents = latents
        self._texts = texts
        settings = ctx.settings.evaluation
        schedule = SCHEDULES[ctx.settings.train.noise_schedule](ctx.facts["noise_schedule"])
        self._levels = spaced_levels(schedule.levels, settings.timesteps)
        self._image_to_video = image_to_video(ctx.settings.data.datasets)
        usual = ctx.settings.train.batch_size
        self._at_once = {one.id: one.train_batch_size or usual for one in ctx.settings.data.datasets}
        self._groups = _groups(ctx.eval_windows, settings.num_clips, pooled=settings.pooling, only=settings.dataset_id)

    def is_due(self, step: int) -> bool:
        """Tell whether to measure after a step: at the intervals of the settings, before the first step, and at the end."""
        settings, schedule = self._ctx.settings.evaluation, self._ctx.plan.body.schedule
        return bool(self._groups) and _is_due(step, settings, schedule)

    def measure(self, state: TrainState) -> None:
        """Measure every data set with the last weights and, where there is one, their average, and tell of it.

        The processes of a team share the clips. All of them have to come here at the same step.
        """
        with interlude(self._ctx, state):
            for weights in ("model", "ema") if state.average is not None else ("model",):
                average = state.average if weights == "ema" else None
                with average.swapped() if average is not None else state.result():
                    for dataset, rows in self._groups.items():
                        self._ctx.recorder.emit(self._figure(state, weights, dataset, rows))

    def _figure(self, state: TrainState, weights: str, dataset: str, rows: Sequence[ClipRow]) -> Evaluated:
        began, team = time.monotonic(), state.team
        figures = torch.zeros(len(rows), len(self._levels), dtype=torch.float64)
        for index in range(team.rank, len(rows), team.size):
            figures[index] = torch.tensor(self._losses(state, rows[index]), dtype=torch.float64)
        team.sum_figures(figures)  # all others have zeros there, so no bit changes
        by_level = tuple(math.fsum(column) / len(rows) for column in figures.T.tolist())
        return Evaluated(
            step=state.step,
            dataset=dataset,
            weights=weights,
            clips=len(rows),
            loss=math.fsum(by_level) / len(by_level),
            sigmas=tuple(level.sigma for level in self._levels),
            losses=by_level,
            seconds=time.monotonic() - began,
        )

    def _losses(self, state: TrainState, row: ClipRow) -> list[float]:
        """Return the loss of a clip at each level."""
        precision = self._ctx.settings.train.mixed_precision
        losses: list[float] = []
        for part in self._parts(row, self._at_once[row.dataset]):
            prediction = predict(state.model, mixture(part), part, mixed_precision=precision)
            learnt = slice(int(part.first is not None), None)
            errors = mean_squared_errors(prediction[:, :, learnt], velocity(part.latents, part.noise)[:, :, learnt])
            losses += errors.tolist()
        return losses

    def _parts(self, row: ClipRow, size: int) -> Iterator[MicroBatch]:
        """Yield a clip at all levels, so many at once as training has clips of its data set at once."""
        latents = self._ctx.store.read("latents", self._latents[row.clip_id])["latents"].float()
        noise = clip_noise(row, latents)
        text, mask = pad_texts([self._ctx.store.read("text", self._texts[row.text, True])["embeds"]])
        given = CLEAN if row.dataset in self._image_to_video else None
        for begin in range(0, len(self._levels), size):
            levels = self._levels[begin : begin + size]
            count = len(levels)
            part = MicroBatch(
                latents=_repeated(latents[None], count),
                noise=_repeated(noise[None], count),
                sigma=torch.tensor([level.sigma for level in levels], dtype=torch.float32),
                timestep=torch.tensor([level.timestep for level in levels]),
                text=_repeated(text, count),
                mask=_repeated(mask, count),
                extra_noise=None,
                weights=None,
                offsets=None,
                rollout=self._ctx.settings.regularizers.rollout,
                first=first_frames([given] * count, exact=False),
            )
            yield part.to(self._ctx.device)


def _is_due(step: int, settings: Evaluation, schedule: Schedule) -> bool:
    if settings.step_interval is None and settings.epoch_interval is None:
        return False
    if step in (0, schedule.max_steps):
        return True
    if settings.step_interval is not None and step % settings.step_interval == 0:
        return True
    every = settings.epoch_interval
    return every is not None and schedule.intervals(step, every) > schedule.intervals(step - 1, every)


def spaced_levels(levels: Sequence[NoiseLevel], count: int) -> tuple[NoiseLevel, ...]:
    """Return ``count`` levels of a schedule's table: the middle of each of so many equal parts of it."""
    return tuple(levels[int((index + 0.5) * len(levels) / count)] for index in range(count))


def clip_noise(row: ClipRow, latents: Tensor) -> Tensor:
    """Return the noise of a clip, of its latents' shape: a function of its content and bucket, and of the window."""
    window = (row.window,) if row.window else ()
    return torch.randn(latents.shape, generator=generator(_SEED, "evaluation-noise", row.sha256, row.bucket, *window))


def _repeated(tensor: Tensor, count: int) -> Tensor:
    return tensor.expand(count, *tensor.shape[1:])


def _groups(rows: Sequence[ClipRow], most: int, *, pooled: bool, only: str | None) -> Mapping[str, tuple[ClipRow, ...]]:
    """Choose the clips that are measured, at most ``most`` of each data set: always the same ones.

    Of clips of several windows these count, the first one of each clip before the second one of any.
    """
    chosen: dict[str, tuple[ClipRow, ...]] = {}
    for dataset in sorted({row.dataset for row in rows}):
        if only is None or dataset == only:
            mine = (row for row in rows if row.dataset == dataset)
            own = sorted(mine, key=lambda row: (row.window, row.sha256, row.clip_id))
            chosen[dataset] = tuple(own[:most])
    if pooled and chosen:
        return {_POOL: tuple(row for group in chosen.values() for row in group)}
    return chosen
