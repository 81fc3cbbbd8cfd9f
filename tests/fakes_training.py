"""What the trainer's tests share: a tiny project whose texts and clips are encoded, and the weights of a run."""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fakes_runtime import Project, make_context, make_project
from recipe_runtime import checkpoint, encode_features, encode_text, encode_video
from recipe_runtime.batches import BatchMaker
from recipe_runtime.context import Context
from recipe_runtime.course import Course
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Event, StepDone


class EventList(list[Event]):
    """A listener that keeps what it hears."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    def of(self, kind: type) -> list[Any]:
        """Return the events of one type."""
        return [event for event in self if isinstance(event, kind)]


class StopAfter(StopRequested):
    """Asks to stop when a step is done, as a signal would."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepDone) and event.step == self.step:
            self.requested = "SIGTERM"


def encoded_project(tmp_path: Path, **overrides: Any) -> tuple[Project, Context, EventList]:
    """Make a project and run its encode stages. The events of these are not in the list.

    All projects share a store, so that the same clips are encoded once. A test that damages the store asks for one
    of its own: ``{"data.store_dir": "store"}``.
    """
    torch.set_num_threads(1)
    project = make_project(tmp_path, **{"data.store_dir": _shared_store(), **overrides})
    events = EventList()
    ctx = make_context(project, [events])
    encode_text.run(ctx, StopRequested())
    encode_video.run(ctx, StopRequested())
    if encode_features.has_teacher(ctx):
        encode_features.run(ctx, StopRequested())
    events.clear()
    return project, ctx, events


@functools.cache
def _shared_store() -> str:
    folder = tempfile.mkdtemp(prefix="store-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def batch_maker(ctx: Context) -> BatchMaker:
    """Make what feeds a run's steps, as the train stage does."""
    return BatchMaker(ctx, Course(ctx), latents=encode_video.latent_index(ctx), texts=encode_text.text_index(ctx))


def saved_parts(run_dir: Path, step: int) -> dict[str, dict[str, Tensor]]:
    """Read the checkpoint of a step, whichever plan it belongs to."""
    folder = run_dir / "checkpoints" / checkpoint.step_name(step)
    parts = tuple(path.stem for path in folder.iterdir() if path.suffix == ".safetensors" or path.is_dir())
    found = checkpoint.Checkpoint(step=step, folder=folder, parts=parts).read()
    # Copies, because the tensors of safetensors are views into the file, which a test may change.
    return {part: {name: tensor.clone() for name, tensor in tensors.items()} for part, tensors in found.items()}


def same_bits(first: Mapping[str, Mapping[str, Tensor]], second: Mapping[str, Mapping[str, Tensor]]) -> bool:
    """Tell whether two states hold the same tensors, bit for bit."""
    return first.keys() == second.keys() and all(
        first[part].keys() == second[part].keys()
        and all(torch.equal(tensor, second[part][name]) for name, tensor in first[part].items())
        for part in first
    )
