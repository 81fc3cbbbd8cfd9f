"""A run as its events tell it, with those left out that a resumed process made void."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


State = Literal["waiting", "running", "finished", "failed", "stopped"]

_CLOSING: Mapping[str, State] = {"run-finished": "finished", "failed": "failed", "interrupted": "stopped"}


@dataclass(slots=True, kw_only=True)
class Story:
    """What happened.

    Attributes:
        state: Where it stands. A process that was killed says nothing: its run counts as running.
        name: The run's name.
        plan_id: Its plan.
        devices: Where it ran, in order.
        max_steps: Steps of the whole run.
        steps: Events of optimizer steps, by step.
        aligned: Events of alignment, by step.
        evaluations: Events of evaluations, by data set, weights and step.
        clips: Events of validation clips, by path. Those of steps that a resumed process has not reached again are left out:
            their files are right, and not drawn a second time.
        sheets: Events of the pictures that put a prompt's steps below each other, by the name of its clips.
        stages: Seconds that each stage took, all processes together.
        checkpoints: Events of checkpoints.
        pushed: Events of uploads.
        told: Warnings and failures, each with its time.
        memory: The last event of measured memory.
        first: Time of the first event.
        last: Time of the last one.
        processes: How often a process began or went on with it.
        reached: The last step that the last process got to.
    """

    state: State = "waiting"
    name: str = ""
    plan_id: str = ""
    devices: list[str] = field(default_factory=list)
    max_steps: int = 0
    steps: dict[int, dict[str, Any]] = field(default_factory=dict)
    aligned: dict[int, dict[str, Any]] = field(default_factory=dict)
    evaluations: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)
    clips: dict[str, dict[str, Any]] = field(default_factory=dict)
    sheets: dict[str, dict[str, Any]] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    pushed: list[dict[str, Any]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    memory: dict[str, Any] | None = None
    first: str = ""
    last: str = ""
    processes: int = 0
    reached: int = 0


def story_of(events: Iterable[Mapping[str, Any]]) -> Story:
    """Reduce events to a story. Kinds that are not known are passed over."""
    story = Story()
    for event in events:
        _take(story, dict(event))
    story.clips = {path: event for path, event in story.clips.items() if event["step"] <= story.reached}
    story.sheets = {name: event for name, event in story.sheets.items() if event["step"] <= story.reached}
    return story


def _take(story: Story, event: dict[str, Any]) -> None:
    time, kind = str(event.get("time", "")), event["event"]
    story.first, story.last = story.first or time, time
    story.state = _CLOSING.get(kind, story.state)
    match kind:
        case "run-started":
            _begin(story, event)
        case "resumed":
            _forget(story, event["step"])
        case "stage-finished":
            story.stages[event["stage"]] = story.stages.get(event["stage"], 0.0) + event["seconds"]
        case "warning" | "failed":
            story.told.append((time, event["message"]))
        case "memory":
            story.memory = event
        case "checkpoint":
            story.checkpoints.append(event)
        case "pushed":
            story.pushed.append(event)
        case _:
            _measure(story, event)


def _begin(story: Story, event: dict[str, Any]) -> None:
    story.state = "running"
    story.processes += 1
    story.name, story.plan_id, story.max_steps = event["name"], event["plan_id"], event["max_steps"]
    if event["device"] not in story.devices:
        story.devices.append(event["device"])


def _forget(story: Story, step: int) -> None:
    """Drop what came after the checkpoint that a process goes on from."""
    story.steps = {number: event for number, event in story.steps.items() if number <= step}
    story.aligned = {number: event for number, event in story.aligned.items() if number <= step}
    story.evaluations = {key: event for key, event in story.evaluations.items() if key[2] <= step}
    story.reached = step


def _measure(story: Story, event: dict[str, Any]) -> None:
    story.reached = max(story.reached, event.get("step", 0))
    match event["event"]:
        case "step":
            story.steps[event["step"]] = event
        case "alignment":
            story.aligned[event["step"]] = event
        case "evaluation":
            story.evaluations[event["dataset"], event["weights"], event["step"]] = event
        case "validation-clip":
            story.clips[event["path"]] = event
        case "validation-sheet":
            story.sheets[event["name"]] = event
        case _:
            pass
