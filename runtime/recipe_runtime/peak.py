"""The most memory that training had so far, told when it has grown: what `recipe plan` estimated can be compared with it."""

import resource
import sys

import torch

from recipe_schema.events import MemoryMeasured


_WORTH_TELLING = 1.01
"""It is told again when it has grown by a hundredth."""


class PeakMemory:
    """Follows the peak.

    Args:
        device: Where training runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._told = 0.0

    def begin(self) -> None:
        """Take note that a step begins: what encoding and drawing had on the device does not count."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def grown(self, step: int) -> MemoryMeasured | None:
        """Return the peak after a step, if it is worth telling."""
        on_device = self._device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(self._device) if on_device else _process_bytes()
        if peak <= self._told * _WORTH_TELLING:
            return None
        self._told = peak
        return MemoryMeasured(step=step, gb=peak / 1e9, where="cuda" if on_device else "process")


def _process_bytes() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
