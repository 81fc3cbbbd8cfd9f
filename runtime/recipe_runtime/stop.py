"""The wish that a run stops soon: set by a signal handler, read between items and steps."""

from dataclasses import dataclass


@dataclass(slots=True)
class StopRequested:
    """Whether someone asked the run to stop.

    Attributes:
        requested: Name of the signal that asked, as in ``SIGTERM``; None while nobody did.
    """

    requested: str | None = None
