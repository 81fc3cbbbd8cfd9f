"""The lock of a run directory, as those see it who only ask."""

from pathlib import Path


LOCK_FILE = ".lock"
"""In a run directory: locked by the process that writes it, and holds its number."""


def holder_of(run_dir: Path) -> str | None:
    """Return the number of the process that works on a run directory; None if there is none, or it can't be told."""
    import fcntl  # noqa: PLC0415 - there is none on Windows

    try:
        file = (run_dir / LOCK_FILE).open("rb")
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read().decode().strip() or "unknown"
        except OSError:  # a disk without locks, of which the runtime tells
            return None
    return None
