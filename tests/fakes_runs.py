"""Run directories as pages find them: a plan, a ledger, events and clips, without a training."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fakes_runtime import Project, make_project
from recipe_runtime.contact_sheet import sheet_path, write_sheet, write_steps_sheet
from recipe_runtime.plancopy import keep_plan
from recipe_runtime.record import Recorder
from recipe_runtime.video_file import write_mp4
from recipe_schema.events import (
    ClipDrawn,
    Evaluated,
    Event,
    MemoryMeasured,
    RunFinished,
    RunStarted,
    SheetDrawn,
    StageFinished,
    StageStarted,
    StepDone,
)
from recipe_schema.planfile import write_plan


META = {
    "created": "2026-01-02T03:04:05+00:00",
    "estimate": {"memory_gb": 2.5, "largest_bucket": "96x64@9", "train_pflop": 0.01, "trained_parameters": 1234},
    "python": "3.11.7",
    "tool": {"name": "sana-recipes", "version": "0.1.0"},
}


def planned(tmp_path: Path, **overrides: Any) -> Project:
    """Make a project whose plan says of itself what the compiler says."""
    project = make_project(tmp_path, **overrides)
    plan = replace(project.plan, meta={**project.plan.meta, **META})
    write_plan(plan, project.plan_dir)
    return replace(project, plan=plan)


def make_run(tmp_path: Path, **overrides: Any) -> Path:
    """Make a run directory with a plan and no events. See `fakes_runtime.make_project` for ``overrides``."""
    project = planned(tmp_path, **overrides)
    project.run_dir.mkdir(parents=True)
    keep_plan(project.plan, project.plan_dir, project.run_dir)
    return project.run_dir


def tell(run_dir: Path, *events: Event) -> None:
    """Append events."""
    with Recorder(run_dir) as recorder:
        for event in events:
            recorder.emit(event)


def started(**more: Any) -> RunStarted:
    """Return the first event of a process."""
    return RunStarted(**{"plan_id": "sha256:abc", "name": "test", "device": "cpu", "max_steps": 4, **more})


def step(number: int, **more: Any) -> StepDone:
    """Return the event of a step."""
    figures = {"epoch": number / 2, "loss": 1 / number, "learning_rate": 1e-3, "grad_norm": 1.0, "sigma": 0.5}
    return StepDone(**{"step": number, "bucket": "96x64@9", **figures, "seconds": 0.5, "data_seconds": 0.1, **more})


def evaluated(number: int, *losses: float) -> Evaluated:
    """Return the event of an evaluation at evenly spaced noise levels."""
    sigmas = tuple((place + 0.5) / len(losses) for place in range(len(losses)))
    mean = sum(losses) / len(losses)
    return Evaluated(
        step=number, dataset="discs", weights="model", clips=2, loss=mean, sigmas=sigmas, losses=losses, seconds=0.1
    )


def draw(run_dir: Path, number: int, nickname: str = "main") -> ClipDrawn:
    """Write a validation clip, and return its event."""
    path = run_dir / "validation" / f"step-{number:08d}" / f"{nickname}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = np.full((8, 64, 96, 3), min(40 + 20 * number, 200), dtype=np.uint8)
    frames[np.arange(8), :, 8 * np.arange(8)] = 255
    write_mp4(path, frames, fps=8, note="x")
    write_sheet(sheet_path(path), frames)
    shown, sheet = (file.relative_to(run_dir).as_posix() for file in (path, sheet_path(path)))
    return ClipDrawn(step=number, nickname=nickname, weights="model", path=shown, seconds=0.2, sheet=sheet)


def sheet_of(run_dir: Path, number: int, nickname: str = "main") -> SheetDrawn:
    """Write the picture of a prompt's steps, and return its event."""
    written = write_steps_sheet(run_dir / "validation", nickname, until=number)
    assert written is not None, "a clip was drawn"
    path, steps = written
    return SheetDrawn(step=number, name=nickname, path=path.relative_to(run_dir).as_posix(), steps=steps)


def whole_story(run_dir: Path, last: int = 4) -> Iterable[Event]:
    """Return the events of a run that got to its end, and draw its clips."""
    return (
        started(max_steps=last),
        StageStarted(stage="encode-video", total=4, reused=0, unit="clips"),
        StageFinished(stage="encode-video", total=4, reused=0, seconds=3.0),
        StageStarted(stage="train", total=last, reused=0, unit="steps"),
        evaluated(0, 2.0, 1.5),
        draw(run_dir, 0),
        *(step(number) for number in range(1, last + 1)),
        MemoryMeasured(step=1, gb=1.25, where="cuda"),
        evaluated(last, 1.0, 0.5),
        draw(run_dir, last),
        sheet_of(run_dir, last),
        StageFinished(stage="train", total=last, reused=0, seconds=9.0),
        RunFinished(step=last, seconds=12.0),
    )
