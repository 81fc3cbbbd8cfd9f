"""What can go wrong in a run, as exceptions. Messages are one sentence with what to do; nothing prints here.

RunError                the run failed; process exit code 4
├── PlanRefused         the plan does not fit what is on disk any more; exit code 3
├── MediaError          a clip can't be decoded as planned
├── StoreError          a file of the store is broken
├── ModelError          weights are missing or do not fit
├── CheckpointError     a checkpoint can't be written or read
├── PeerFailed          another process of the run failed
├── NonFiniteLoss       the loss or a gradient is NaN or infinite
├── OutOfMemory         the device or the machine has not enough memory
├── BundleError         a failed step that was left behind can't be read
└── StoppedBySignal     someone asked the run to stop; exit code 128 + signal number
"""

import signal

from recipe_schema.exits import Exit


class RunError(Exception):
    """The run failed, and the message says why and what to do.

    Attributes:
        exit_code: Exit code of the process.
    """

    exit_code: int = Exit.FAILED


class PlanRefused(RunError):  # noqa: N818 - the name says what happened
    """The plan is stale: what it was made from has changed since."""

    exit_code: int = Exit.REFUSED


class MediaError(RunError):
    """A clip can't be decoded as the plan says."""


class StoreError(RunError):
    """A file of the store is missing or broken."""


class ModelError(RunError):
    """Weights or configurations of a model are missing, broken or do not fit."""


class CheckpointError(RunError):
    """A checkpoint can't be written or read."""


class PeerFailed(RunError):  # noqa: N818 - the name says what happened
    """Another process of the run failed; the message is its own."""


class NonFiniteLoss(RunError):  # noqa: N818 - the name says what happened
    """The loss or a gradient became NaN or infinite."""


class OutOfMemory(RunError):  # noqa: N818 - the name says what happened
    """The device, or the machine, has not enough memory."""


class BundleError(RunError):
    """What a failed step left behind is missing, broken or of another version."""


class StoppedBySignal(RunError):  # noqa: N818 - the name says what happened
    """Someone asked the run to stop, and it did so in order.

    Args:
        name: Name of the signal, as in ``SIGTERM``.
        step: Optimizer steps that are saved.
    """

    def __init__(self, name: str, step: int) -> None:
        super().__init__(f"stopped by {name} after step {step}; run the same command again to go on")
        self.signal = name
        self.step = step
        self.exit_code = 128 + signal.Signals[name].value
