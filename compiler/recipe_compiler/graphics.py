"""Graphics cards, as the driver's own tool tells of them: the compiler never loads torch."""

import shutil
import subprocess
from typing import NamedTuple


_MIB = 2**20
_PATIENCE = 20
"""Seconds. The tool wakes a card that sleeps."""


class Card(NamedTuple):
    """A graphics card.

    Attributes:
        name: As its maker calls it.
        memory_gb: All of its memory, in 10⁹ bytes.
        driver: Version of the driver.
    """

    name: str
    memory_gb: float
    driver: str


def cards() -> tuple[Card, ...]:
    """Return NVIDIA's cards in this machine, in the driver's order; none where the driver is not there or fails."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    command = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True).stdout  # noqa: S603
        return tuple(_card(line) for line in told.splitlines() if line.strip())
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()


def _card(line: str) -> Card:
    name, memory, driver = (part.strip() for part in line.rsplit(",", 2))
    return Card(name=name, memory_gb=int(memory) * _MIB / 1e9, driver=driver)
