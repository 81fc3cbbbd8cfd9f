"""Exit codes: a stable contract of the command line and of the runtime."""

from enum import IntEnum


class Exit(IntEnum):
    """What the exit code of a command says."""

    OK = 0
    """Clean. Warnings are allowed."""
    FINDINGS = 1
    """The recipe has errors."""
    USAGE = 2
    """Wrong usage, or a file that can't be read."""
    REFUSED = 3
    """A plan was refused: stale, changed, or of another version."""
    FAILED = 4
    """The run failed."""
    BUG = 5
    """A fault of our own."""
