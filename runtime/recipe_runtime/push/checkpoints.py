"""Uploads checkpoints while training goes on. Training waits for none but the last."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread

from recipe_runtime.errors import RunError
from recipe_runtime.push.repository import Repository
from recipe_runtime.record import Recorder
from recipe_runtime.stop import StopRequested
from recipe_schema.events import CheckpointSaved, Event, Pushed, Warned


_FOLDER = ".tmp-push"
_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parcel:
    """A checkpoint under way. ``folder`` holds hard links: the checkpoint itself may be pruned meanwhile."""

    step: int
    path: str
    folder: Path


class CheckpointUploads:
    """Listens to events, and uploads each checkpoint. Where that is slower than saving, the newest one waits.

    Args:
        repository: Where to. It was opened.
        run_dir: The run directory.
        recorder: Takes events, from another thread.
    """

    def __init__(self, repository: Repository, run_dir: Path, recorder: Recorder) -> None:
        self._repository = repository
        self._run_dir = run_dir
        self._recorder = recorder
        self._next: _Parcel | None = None
        self._over = False
        self._changed = Condition()
        shutil.rmtree(run_dir / _FOLDER, ignore_errors=True)  # of a process that died
        # A daemon: a run that is stopped does not wait for an upload.
        self._thread = Thread(target=self._work, name="push", daemon=True)
        self._thread.start()

    def __call__(self, event: Event) -> None:
        """Hear of an event. This never waits for the network."""
        if not isinstance(event, CheckpointSaved):
            return
        folder = self._run_dir / _FOLDER / f"step-{event.step:08d}"
        try:
            _link(self._run_dir / event.path, folder)
        except OSError as error:
            self._warn(f"{event.path} can't be uploaded: {error}")
            return
        with self._changed:
            passed, self._next = self._next, _Parcel(step=event.step, path=event.path, folder=folder)
            self._changed.notify()
        if passed is not None:
            shutil.rmtree(passed.folder)
            self._warn(f"uploads are slower than checkpoints: {passed.path} is not uploaded")

    def finish(self, stop: StopRequested) -> None:
        """Wait for the last upload, unless someone asks the run to stop."""
        with self._changed:
            self._over = True
            self._changed.notify()
        while self._thread.is_alive() and stop.requested is None:
            self._thread.join(_LOOK_SECONDS)
        if self._thread.is_alive():
            self._warn("stopped before the last checkpoint was uploaded; what is missing lies in the run directory")
        else:
            shutil.rmtree(self._run_dir / _FOLDER, ignore_errors=True)
        self._recorder.emit_waiting()

    def _work(self) -> None:
        while (parcel := self._wait()) is not None:
            began = time.monotonic()
            try:
                address = self._repository.upload(
                    parcel.folder, below=parcel.path, message=f"Checkpoint of step {parcel.step}"
                )
            except RunError as error:
                self._warn(f"{parcel.path} was not uploaded: {error}")
            else:
                self._recorder.emit_later(
                    Pushed(
                        repository=self._repository.name,
                        path=parcel.path,
                        step=parcel.step,
                        address=address,
                        seconds=time.monotonic() - began,
                    )
                )
            shutil.rmtree(parcel.folder, ignore_errors=True)

    def _wait(self) -> _Parcel | None:
        with self._changed:
            self._changed.wait_for(lambda: self._next is not None or self._over)
            parcel, self._next = self._next, None
            return parcel

    def _warn(self, message: str) -> None:
        self._recorder.emit_later(Warned(message=message))


@contextmanager
def checkpoint_uploads(
    repository: Repository | None, run_dir: Path, recorder: Recorder, stop: StopRequested
) -> Iterator[None]:
    """Upload the checkpoints that are saved inside, and wait for the last one at the end, unless that is a failure.

    Args:
        repository: Where to; None uploads nothing.
        run_dir: The run directory.
        recorder: Whose events are listened to.
        stop: Whether someone asked the run to stop.
    """
    if repository is None:
        yield
        return
    uploads = CheckpointUploads(repository, run_dir, recorder)
    recorder.listen(uploads)
    yield
    uploads.finish(stop)


def _link(source: Path, target: Path) -> None:
    """Make a folder of hard links: no copy, and what is pruned meanwhile stays until it is uploaded."""
    shutil.copytree(source, target, copy_function=os.link)
