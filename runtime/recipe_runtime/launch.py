"""Sets up the process: device, threads, signals, and quiet libraries."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

import diffusers
import torch
import transformers
from huggingface_hub.utils.tqdm import disable_progress_bars

from recipe_runtime.errors import RunError
from recipe_runtime.stop import StopRequested


STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""Signals that ask a run to stop; the last one is a closed terminal."""


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
    """Let SIGINT, SIGTERM, SIGUSR1 and SIGHUP ask for a checkpoint and a stop. A second SIGINT ends the process at once.

    SIGHUP is left alone where it is ignored, as `nohup` does.
    """
    stop = StopRequested()

    def ask(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.requested == "SIGINT":
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        stop.requested = signal.Signals(number).name

    before: Mapping[int, Callable[[int, FrameType | None], object] | int | None] = {
        number: signal.signal(number, ask)
        for number in STOPS
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
