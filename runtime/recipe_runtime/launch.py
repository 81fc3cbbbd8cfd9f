"""Sets up the process: device, threads, signals, the run's lock, and quiet libraries. Alone in reading the environment."""

import fcntl
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import diffusers
import torch
import transformers
from huggingface_hub.utils.tqdm import disable_progress_bars

from recipe_runtime.errors import RunError
from recipe_runtime.stop import StopRequested


LOCK_FILE = ".lock"
"""In a run directory: locked by the process that writes it, and holds its number."""

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def choose_device(name: str) -> torch.device:
    """Return the device that a plan asks for: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        RunError: It asks for CUDA where there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise RunError(
            "`hardware.device: cuda` asks for a CUDA device and torch "
            f"{torch.__version__} finds none; check the driver with `nvidia-smi`, or set `hardware.device: auto`"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def describe_device(device: torch.device) -> str:
    """Name a device for people, as in ``cuda (NVIDIA H200)``."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def environment() -> Mapping[str, str]:
    """Return the variables of the environment, for those who find addresses and tokens there by name."""
    return dict(os.environ)


def quiet_libraries() -> None:
    """Turn off progress bars and advice of the libraries, so that the console shows the run and nothing else.

    Errors still come through. Bars of downloads stay on a terminal, where one waits for them.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    logging.getLogger("torch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    if not sys.stderr.isatty():
        disable_progress_bars()


@contextmanager
def signals_request_stop() -> Iterator[StopRequested]:
    """Let SIGINT, SIGTERM and SIGUSR1 ask for a checkpoint and a stop. A second SIGINT ends the process at once."""
    stop = StopRequested()

    def ask(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.requested == "SIGINT":
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        stop.requested = signal.Signals(number).name

    before: Mapping[int, Callable[[int, FrameType | None], object] | int | None] = {
        number: signal.signal(number, ask) for number in _STOPS
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def run_lock(run_dir: Path) -> Iterator[None]:
    """Hold the lock of a run directory, which the system lets go of when the process ends, however it ends.

    Raises:
        RunError: Another process holds it, or it can't be written.
    """
    path = run_dir / LOCK_FILE
    try:
        # Without a buffer, which would hold what a full disk did not take and fail again when it is closed.
        file = path.open("ab+", buffering=0)
    except OSError as error:
        raise _unwritable(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().decode().strip() or "unknown"
            raise RunError(
                f"another process (number {holder}) works on {run_dir}; wait for it, or stop it with `kill {holder}`"
            ) from None
        try:
            file.truncate(0)
            file.write(f"{os.getpid()}\n".encode())
        except OSError as error:
            raise _unwritable(path, error) from error
        yield


def _unwritable(path: Path, error: OSError) -> RunError:
    return RunError(
        f"{path} can't be written: {error}; make room or correct the rights, or name another place in `output_dir`"
    )
