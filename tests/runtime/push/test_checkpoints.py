import shutil
import threading

import pytest

from fakes_training import EventList
from recipe_runtime.errors import RunError
from recipe_runtime.push.checkpoints import CheckpointUploads, checkpoint_uploads
from recipe_runtime.record import Recorder
from recipe_runtime.stop import StopRequested
from recipe_schema.events import CheckpointSaved, Pushed, Warned


class Slow:
    """A repository that takes a folder when it is let go."""

    name = "me/tiny"

    def __init__(self):
        self.go = threading.Event()
        self.reached = threading.Event()
        self.taken = {}
        self.error = None

    def upload(self, folder, *, below, message):
        self.reached.set()
        assert self.go.wait(30)
        if self.error is not None:
            raise self.error
        self.taken[below] = ({path.name: path.read_bytes() for path in folder.iterdir()}, message)
        return f"https://hub/{below}"


def save(run_dir, step):
    path = f"checkpoints/step-{step:08d}"
    (run_dir / path).mkdir(parents=True)
    (run_dir / path / "model.safetensors").write_bytes(str(step).encode())
    return CheckpointSaved(step=step, path=path, seconds=0.1)


@pytest.fixture
def run(tmp_path):
    heard = EventList()
    with Recorder(tmp_path, [heard]) as recorder:
        yield tmp_path, recorder, heard


def test_training_goes_on_while_a_checkpoint_is_uploaded_and_the_last_one_is_waited_for(run):
    run_dir, recorder, heard = run
    repository = Slow()

    with checkpoint_uploads(repository, run_dir, recorder, StopRequested()):
        recorder.emit(save(run_dir, 2))
        assert repository.reached.wait(10)
        shutil.rmtree(run_dir / "checkpoints/step-00000002")  # pruned while it is uploaded
        recorder.emit(save(run_dir, 4))
        recorder.emit(save(run_dir, 6))
        assert repository.taken == {}, "nobody waited for an upload"
        repository.go.set()

    assert repository.taken == {
        "checkpoints/step-00000002": ({"model.safetensors": b"2"}, "Checkpoint of step 2"),
        "checkpoints/step-00000006": ({"model.safetensors": b"6"}, "Checkpoint of step 6"),
    }
    assert [(event.step, event.address) for event in heard.of(Pushed)] == [
        (2, "https://hub/checkpoints/step-00000002"),
        (6, "https://hub/checkpoints/step-00000006"),
    ]
    assert [event.message for event in heard.of(Warned)] == [
        "uploads are slower than checkpoints: checkpoints/step-00000004 is not uploaded"
    ]
    assert not (run_dir / ".tmp-push").exists()
    assert (run_dir / "checkpoints/step-00000006/model.safetensors").exists()


def test_an_upload_that_fails_is_a_warning(run):
    run_dir, recorder, heard = run
    repository = Slow()
    repository.error = RunError("the hub is away")
    repository.go.set()

    with checkpoint_uploads(repository, run_dir, recorder, StopRequested()):
        recorder.emit(save(run_dir, 2))

    assert [event.message for event in heard.of(Warned)] == [
        "checkpoints/step-00000002 was not uploaded: the hub is away"
    ]


def test_who_asks_to_stop_does_not_wait_for_an_upload(run):
    run_dir, recorder, heard = run
    repository = Slow()
    uploads = CheckpointUploads(repository, run_dir, recorder)
    uploads(save(run_dir, 2))

    uploads.finish(StopRequested(requested="SIGTERM"))
    repository.go.set()

    assert "stopped before the last checkpoint was uploaded" in heard.of(Warned)[0].message


def test_a_run_that_fails_does_not_wait_for_an_upload(run):
    run_dir, recorder, _ = run
    repository = Slow()

    def train():
        recorder.emit(save(run_dir, 2))
        raise RunError("the first failure")

    with (
        pytest.raises(RunError, match="the first failure"),
        checkpoint_uploads(repository, run_dir, recorder, StopRequested()),
    ):
        train()
    repository.go.set()


def test_what_a_process_that_died_left_is_removed(run):
    run_dir, recorder, heard = run
    (run_dir / ".tmp-push/step-00000002").mkdir(parents=True)
    repository = Slow()
    repository.go.set()

    with checkpoint_uploads(repository, run_dir, recorder, StopRequested()):
        recorder.emit(save(run_dir, 2))

    assert len(heard.of(Pushed)) == 1


def test_a_checkpoint_that_can_not_be_linked_is_a_warning(run):
    run_dir, recorder, heard = run

    with checkpoint_uploads(Slow(), run_dir, recorder, StopRequested()):
        recorder.emit(CheckpointSaved(step=2, path="checkpoints/gone", seconds=0.1))

    (warning,) = heard.of(Warned)
    assert warning.message.startswith("checkpoints/gone can't be uploaded: ")
