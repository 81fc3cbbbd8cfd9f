"""What a run tells while it runs: one JSON object for each line of ``events.jsonl``.

Everything that people look at (progress bars, trackers, pages, reports) is drawn from these events. After a
crash and a resume some steps appear twice: the later line counts.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields as dataclass_fields
from typing import Any, ClassVar, Literal, get_args

from recipe_schema.marks import Level, Stage


EVENTS_VERSION = 1
"""Version of the format of events."""

EVENTS_FILE = "events.jsonl"

LEVELS: tuple[Level, ...] = get_args(Level)
"""All levels, the most important first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A process begins or goes on with a run."""

    kind: ClassVar[str] = "run-started"
    level: ClassVar[Level] = "info"
    plan_id: str
    name: str
    device: str
    max_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted:
    """A stage begins. ``total`` counts its items, ``reused`` those that the store had already."""

    kind: ClassVar[str] = "stage-started"
    level: ClassVar[Level] = "info"
    stage: Stage
    total: int
    reused: int
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """``done`` items of the stage's ``total`` are finished, reused ones included."""

    kind: ClassVar[str] = "stage-progress"
    level: ClassVar[Level] = "debug"
    stage: Stage
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFinished:
    """A stage is over."""

    kind: ClassVar[str] = "stage-finished"
    level: ClassVar[Level] = "info"
    stage: Stage
    total: int
    reused: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """Training goes on from a checkpoint."""

    kind: ClassVar[str] = "resumed"
    level: ClassVar[Level] = "info"
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
        sigmas: The noise level of each sample, in order.
        losses: The loss of each of them, so that it can be drawn over the noise level.
    """

    kind: ClassVar[str] = "step"
    level: ClassVar[Level] = "info"
    step: int
    epoch: float
    bucket: str
    loss: float
    learning_rate: float
    grad_norm: float
    sigma: float
    seconds: float
    data_seconds: float
    sigmas: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryProbed:
    """One pass through the largest bucket was taken before training, and thrown away.

    Attributes:
        bucket: The bucket.
        peak_gb: The most memory that was taken at once.
        taken_by: By the tensors on a CUDA device, or by the whole process in main memory.
        predicted_gb: What the plan predicts for tensors; null if it says nothing.
        seconds: Wall time.
    """

    kind: ClassVar[str] = "memory-probe"
    level: ClassVar[Level] = "info"
    bucket: str
    peak_gb: float
    taken_by: Literal["tensors", "process"]
    predicted_gb: float | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSpiked:
    """The loss of a step was more than ``factor`` times the ``median`` of the steps before it."""

    kind: ClassVar[str] = "loss-spike"
    level: ClassVar[Level] = "warning"
    step: int
    loss: float
    median: float
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepHung:
    """A step had not ended after ``seconds``. ``path`` is the file in the run directory with the stacks of all threads."""

    kind: ClassVar[str] = "step-hung"
    level: ClassVar[Level] = "warning"
    step: int
    seconds: float
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """Alignment with a teacher (CREPA) in one optimizer step. It comes before the step's own event.

    Attributes:
        step: Steps done, this one included.
        loss: What it added to the loss, the mean over the step's samples.
        similarity: Mean cosine of tokens and the teacher's features of the same frame and place.
        average_similarity: Its moving average, which ``similarity_threshold`` is compared with.
        weight: λ of the step; 0 where a threshold has ended alignment and it is only measured.
    """

    kind: ClassVar[str] = "alignment"
    level: ClassVar[Level] = "debug"
    step: int
    loss: float
    similarity: float
    average_similarity: float
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved:
    """A checkpoint is complete on disk."""

    kind: ClassVar[str] = "checkpoint"
    level: ClassVar[Level] = "info"
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
    level: ClassVar[Level] = "info"
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
    """A validation clip was written.

    Attributes:
        step: Optimizer steps done.
        nickname: Name of its prompt.
        weights: ``model`` or ``ema``.
        path: The clip, an MP4 below the run directory.
        seconds: Wall time.
        sheet: Its contact sheet, a JPEG with frames of it in a row.
    """

    kind: ClassVar[str] = "validation-clip"
    level: ClassVar[Level] = "info"
    step: int
    nickname: str
    weights: str
    path: str
    seconds: float
    sheet: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetDrawn:
    """The picture of a prompt was brought up to date: steps below each other, frames across.

    Attributes:
        step: Optimizer steps done.
        name: Of the prompt's clips, without ending.
        path: The picture, a JPEG below the run directory.
        steps: The steps that it shows.
    """

    kind: ClassVar[str] = "validation-sheet"
    level: ClassVar[Level] = "debug"
    step: int
    name: str
    path: str
    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipScored:
    """A validation clip was compared with its prompt by CLIP, frame by frame.

    Attributes:
        step: Optimizer steps done.
        nickname: Name of its prompt.
        weights: ``model`` or ``ema``.
        path: The clip, below the run directory.
        score: Mean over the frames of 100 times the cosine of frame and prompt; no less than 0 for a frame.
        least: The lowest score of a frame.
        frames: Frames that were compared.
        seconds: Wall time.
    """

    kind: ClassVar[str] = "clip-score"
    level: ClassVar[Level] = "info"
    step: int
    nickname: str
    weights: str
    path: str
    score: float
    least: float
    frames: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPreviewed:
    """A clip while it is drawn: what the model has in mind after a sampling step.

    Attributes:
        step: Optimizer steps done.
        nickname: Name of its prompt.
        weights: ``model`` or ``ema``.
        path: The preview, an MP4 below the run directory.
        clip: Where the clip itself will be.
        sampling_step: Sampling steps done.
        sampling_steps: Sampling steps of a clip.
    """

    kind: ClassVar[str] = "validation-preview"
    level: ClassVar[Level] = "info"
    step: int
    nickname: str
    weights: str
    path: str
    clip: str
    sampling_step: int
    sampling_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryMeasured:
    """The most memory that a training step had so far.

    Attributes:
        step: Optimizer steps done.
        gb: Gigabytes (10⁹ bytes): what torch allocated on the device in steps; without one, what the process occupied at all.
        where: ``cuda`` or ``process``.
    """

    kind: ClassVar[str] = "memory"
    level: ClassVar[Level] = "debug"
    step: int
    gb: float
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was trained was written: ``what`` is a whole ``model`` or an ``adapter``, ``weights`` is ``model`` or ``ema``."""

    kind: ClassVar[str] = "exported"
    level: ClassVar[Level] = "info"
    path: str
    weights: str
    step: int
    what: str = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A folder of the run was uploaded to the hub.

    Attributes:
        repository: As in ``OWNER/NAME``.
        path: The folder, below the run directory.
        step: The step whose weights it holds.
        address: The page where it can be seen.
        seconds: Time that the upload took.
    """

    kind: ClassVar[str] = "pushed"
    level: ClassVar[Level] = "info"
    repository: str
    path: str
    step: int
    address: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something that people should know of and that does not stop the run."""

    kind: ClassVar[str] = "warning"
    level: ClassVar[Level] = "warning"
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The run stops. ``exit_code`` is that of the process."""

    kind: ClassVar[str] = "failed"
    level: ClassVar[Level] = "critical"
    message: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The run was asked to stop; a checkpoint was saved."""

    kind: ClassVar[str] = "interrupted"
    level: ClassVar[Level] = "error"
    signal: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """The run is over: all stages of the plan are done."""

    kind: ClassVar[str] = "run-finished"
    level: ClassVar[Level] = "info"
    step: int
    seconds: float


Event = (
    RunStarted
    | StageStarted
    | StageProgress
    | StageFinished
    | Resumed
    | StepDone
    | MemoryProbed
    | LossSpiked
    | StepHung
    | Aligned
    | CheckpointSaved
    | Evaluated
    | ClipDrawn
    | SheetDrawn
    | ClipScored
    | ClipPreviewed
    | MemoryMeasured
    | Exported
    | Pushed
    | Warned
    | Failed
    | Interrupted
    | RunFinished
)


def to_record(event: Event, time: str) -> dict[str, Any]:
    """Return the JSON object of an event. ``time`` is ISO 8601 in UTC."""
    return {"version": EVENTS_VERSION, "time": time, "event": event.kind, **asdict(event)}


def from_record(record: Mapping[str, Any]) -> Event:
    """Return the event of a JSON object of this version, without its time."""
    kind = next(event for event in get_args(Event) if event.kind == record["event"])
    fields = {field.name: record[field.name] for field in dataclass_fields(kind)}
    event: Event = kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})
    return event


def is_as_important(one: Level, other: Level) -> bool:
    """Say whether a level is at least as important as another."""
    return LEVELS.index(one) <= LEVELS.index(other)
