"""What trackers have in common: when they begin, what they are told, and that none of them ends a run."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from recipe_schema.events import (
    Aligned,
    ClipDrawn,
    ClipScored,
    Evaluated,
    Event,
    Failed,
    Interrupted,
    Resumed,
    StepDone,
)
from recipe_schema.plan import Plan


_PARTS = 4
"""Into so many parts noise levels are cut, each with a curve of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What a tracker is told of its run when it begins.

    Attributes:
        project: Name of the project there.
        name: Name of the run there.
        run_dir: The run directory.
        config: The resolved settings, flat, and what identifies the plan.
    """

    project: str
    name: str
    run_dir: Path
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Values over something that is no step.

    Attributes:
        across: What the places are, in words.
        along: What the values are.
        places: Where there is a value, rising or falling.
        values: Those at the places.
    """

    across: str
    along: str
    places: Sequence[float]
    values: Sequence[float]


class Tracker(Protocol):
    """A program that draws curves. What its methods raise is caught by `TrackerListener`."""

    def resume(self, step: int) -> None:
        """Take note that training goes on after a step: what was told of later ones is void."""

    def curves(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve."""

    def chart(self, step: int, name: str, chart: Chart) -> None:
        """Show a chart that belongs to a step."""

    def clip(self, step: int, name: str, path: Path) -> None:
        """Show a validation clip."""

    def finish(self, *, well: bool) -> None:
        """Write what is left. ``well`` says whether the run got to its end."""

    def abandon(self) -> None:
        """Clear away what would still speak when the process ends. Called in place of `finish` after a failure."""


class TrackerListener:
    """Listens to events, and tells a tracker. One that fails is left alone from then on, with a warning.

    Args:
        name: The tracker's name, as in ``tracking.report_to``.
        tracker: The tracker, which began.
        run_dir: Where clips lie.
        warn: Told of a failure.
    """

    def __init__(self, name: str, tracker: Tracker, run_dir: Path, *, warn: Callable[[str], None]) -> None:
        self._name = name
        self._tracker = tracker
        self._run_dir = run_dir
        self._warn = warn
        self._works = True
        self._well = True

    def __call__(self, event: Event) -> None:
        """Hear of an event."""
        match event:
            case StepDone(step=step):
                self._try(
                    lambda: self._tracker.curves(
                        step, {**curves(event, "train"), **by_noise("train-loss", event.sigmas, event.losses)}
                    )
                )
            case Aligned(step=step):
                self._try(lambda: self._tracker.curves(step, curves(event, "crepa")))
            case Evaluated(step=step):
                name = f"evaluation/{event.dataset}{'-ema' if event.weights == 'ema' else ''}"
                chart = Chart(across="noise level", along="loss", places=event.sigmas, values=event.losses)
                self._try(
                    lambda: self._tracker.curves(step, {name: event.loss, **by_noise(name, event.sigmas, event.losses)})
                )
                self._try(lambda: self._tracker.chart(step, f"{name}/by-noise", chart))
            case ClipScored(step=step, path=path, score=score):
                self._try(lambda: self._tracker.curves(step, {f"clip-score/{Path(path).stem}": score}))
            case ClipDrawn(step=step, path=path):
                self._try(lambda: self._tracker.clip(step, f"validation/{Path(path).stem}", self._run_dir / path))
            case Resumed(step=step):
                self._try(lambda: self._tracker.resume(step))
            case Failed() | Interrupted():
                self._well = False
            case _:
                pass

    def close(self) -> None:
        """Let the tracker finish; one that failed is only cleared away."""
        if self._works:
            self._try(lambda: self._tracker.finish(well=self._well))
        else:
            with suppress(Exception):
                self._tracker.abandon()

    def _try(self, call: Callable[[], None]) -> None:
        if not self._works:
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever such a library raises, training goes on
            self._works = False
            reason = (str(error).strip() or "no details").splitlines()[0]
            self._warn(
                f"{self._name} failed and is told nothing any more ({type(error).__name__}: {reason}); "
                "events.jsonl has everything"
            )


def curves(event: StepDone | Aligned, group: str) -> dict[str, float]:
    """Return what is drawn of a step: every number that the event has, by the name of its curve."""
    names = [field.name for field in fields(event) if field.name != "step"]
    values = {name: getattr(event, name) for name in names}
    return {f"{group}/{name}": float(value) for name, value in values.items() if isinstance(value, int | float)}


def by_noise(name: str, sigmas: Sequence[float], losses: Sequence[float]) -> dict[str, float]:
    """Return the mean loss in each quarter of the noise levels, for those in which one was measured.

    The loss depends on the noise level far more than on how well a model is trained, so one curve of all levels hides
    what each of them does.
    """
    found: dict[int, list[float]] = {}
    for sigma, loss in zip(sigmas, losses, strict=True):
        found.setdefault(min(int(sigma * _PARTS), _PARTS - 1), []).append(loss)
    return {
        f"{name}/noise-{part / _PARTS:.2f}-{(part + 1) / _PARTS:.2f}": math.fsum(inside) / len(inside)
        for part, inside in sorted(found.items())
    }


def config_of(plan: Plan) -> dict[str, Any]:
    """Return what a tracker is told of a plan: its settings without the addresses of webhooks, and its identity."""
    settings = {
        path: value
        for path, value in plan.settings.items()
        if not (path.startswith("tracking.webhooks.") and path.endswith(".url"))
    }
    return {**settings, "plan_id": plan.plan_id, "max_steps": plan.body.schedule.max_steps}
