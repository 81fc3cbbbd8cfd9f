"""What trackers have in common: when they begin, what they are told, and that none of them ends a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from recipe_schema.events import Aligned, ClipDrawn, Evaluated, Event, Failed, Interrupted, Resumed, StepDone
from recipe_schema.plan import Plan


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


class Tracker(Protocol):
    """A program that draws curves. What its methods raise is caught by `TrackerListener`."""

    def resume(self, step: int) -> None:
        """Take note that training goes on after a step: what was told of later ones is void."""

    def curves(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve."""

    def clip(self, step: int, name: str, path: Path) -> None:
        """Show a validation clip."""

    def finish(self, *, well: bool) -> None:
        """Write what is left. ``well`` says whether the run got to its end."""


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
                self._try(lambda: self._tracker.curves(step, {**curves(event, "train"), **losses_by_sigma(event)}))
            case Aligned(step=step):
                self._try(lambda: self._tracker.curves(step, curves(event, "crepa")))
            case Evaluated(step=step):
                suffix = "-ema" if event.weights == "ema" else ""
                self._try(lambda: self._tracker.curves(step, {f"evaluation/{event.dataset}{suffix}": event.loss}))
            case ClipDrawn(step=step, path=path):
                name = f"{event.nickname}-ema" if event.weights == "ema" else event.nickname
                self._try(lambda: self._tracker.clip(step, f"validation/{name}", self._run_dir / path))
            case Resumed(step=step):
                self._try(lambda: self._tracker.resume(step))
            case Failed() | Interrupted():
                self._well = False
            case _:
                pass

    def close(self) -> None:
        """Let the tracker finish."""
        self._try(lambda: self._tracker.finish(well=self._well))

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


def losses_by_sigma(event: StepDone) -> dict[str, float]:
    """Return the mean loss of a step's samples in each tenth of the noise levels that some of them fall into.

    The loss depends on the noise level far more than on how well a model is trained, so one curve of all levels hides
    what each of them does.
    """
    tenths: dict[int, list[float]] = {}
    for sigma, loss in zip(event.sigmas, event.losses, strict=True):
        tenths.setdefault(min(int(sigma * 10), 9), []).append(loss)
    return {
        f"train-loss-by-sigma/{tenth / 10:.1f}-{(tenth + 1) / 10:.1f}": sum(losses) / len(losses)
        for tenth, losses in sorted(tenths.items())
    }


def config_of(plan: Plan) -> dict[str, Any]:
    """Return what a tracker is told of a plan: its settings without the addresses of webhooks, and its identity."""
    settings = {
        path: value
        for path, value in plan.settings.items()
        if not (path.startswith("tracking.webhooks.") and path.endswith(".url"))
    }
    return {**settings, "plan_id": plan.plan_id, "max_steps": plan.body.schedule.max_steps}
