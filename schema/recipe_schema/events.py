"""What a run tells while it runs: one JSON object for each line of ``events.jsonl``.

Everything that people look at (progress bars, trackers, pages, reports) is drawn from these events. After a
crash and a resume some steps appear twice: the later line counts.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from recipe_schema.marks import Stage


EVENTS_VERSION = 1
"""Version of the format of events."""

EVENTS_FILE = "events.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A process begins or goes on with a run."""

    kind: ClassVar[str] = "run-started"
    plan_id: str
    name: str
    device: str
    max_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted:
    """A stage begins. ``total`` counts its items, ``reused`` those that the store had already."""

    kind: ClassVar[str] = "stage-started"
    stage: Stage
    total: int
    reused: int
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """``done`` items of the stage's ``total`` are finished, reused ones included."""

    kind: ClassVar[str] = "stage-progress"
    stage: Stage
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFinished:
    """A stage is over."""

    kind: ClassVar[str] = "stage-finished"
    stage: Stage
    total: int
    reused: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """Training goes on from a checkpoint."""

    kind: ClassVar[str] = "resumed"
    step: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """One optimizer step.

    Attributes:
        step: Steps done, this one included.
        epoch: Passes through the data so far, as a fraction.
        loss: Mean squared error over the step's samples.
        learning_rate: The rate that was applied.
        grad_norm: Norm of all gradients before clipping.
        sigma: Mean noise level of the step's samples.
        seconds: Wall time of the step.
        data_seconds: The part of it that was spent waiting for data.
    """

    kind: ClassVar[str] = "step"
    step: int
    epoch: float
    bucket: str
    loss: float
    learning_rate: float
    grad_norm: float
    sigma: float
    seconds: float
    data_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved:
    """A checkpoint is complete on disk."""

    kind: ClassVar[str] = "checkpoint"
    step: int
    path: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """The loss on clips that are not trained.

    Attributes:
        step: Optimizer steps done.
        dataset: The data set, or ``all`` for all of them together.
        weights: ``model`` or ``ema``.
        clips: Clips that were measured.
        loss: Mean squared error over clips and noise levels.
        sigmas: The noise levels, in order.
        losses: The mean over the clips at each of them.
        seconds: Wall time.
    """

    kind: ClassVar[str] = "evaluation"
    step: int
    dataset: str
    weights: str
    clips: int
    loss: float
    sigmas: tuple[float, ...]
    losses: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipDrawn:
    """A validation clip was written. ``weights`` is ``model`` or ``ema``; ``path`` is below the run directory."""

    kind: ClassVar[str] = "validation-clip"
    step: int
    nickname: str
    weights: str
    path: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was trained was written: ``what`` is a whole ``model`` or an ``adapter``, ``weights`` is ``model`` or ``ema``."""

    kind: ClassVar[str] = "exported"
    path: str
    weights: str
    step: int
    what: str = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something that people should know of and that does not stop the run."""

    kind: ClassVar[str] = "warning"
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The run stops. ``exit_code`` is that of the process."""

    kind: ClassVar[str] = "failed"
    message: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The run was asked to stop; a checkpoint was saved."""

    kind: ClassVar[str] = "interrupted"
    signal: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """The run is over: all stages of the plan are done."""

    kind: ClassVar[str] = "run-finished"
    step: int
    seconds: float


Event = (
    RunStarted
    | StageStarted
    | StageProgress
    | StageFinished
    | Resumed
    | StepDone
    | CheckpointSaved
    | Evaluated
    | ClipDrawn
    | Exported
    | Warned
    | Failed
    | Interrupted
    | RunFinished
)


def to_record(event: Event, time: str) -> dict[str, Any]:
    """Return the JSON object of an event. ``time`` is ISO 8601 in UTC."""
    return {"version": EVENTS_VERSION, "time": time, "event": event.kind, **asdict(event)}
