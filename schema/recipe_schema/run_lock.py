"""The lock of a run directory: held by the process that writes it, seen by those who only ask."""

import os
from io import FileIO
from pathlib import Path


LOCK_FILE = ".lock"
"""In a run directory: locked by the process that writes it, and holds its number."""


class RunLockedError(Exception):
    """Another process works on the run directory. The message says which, and what to do."""

    def __init__(self, run_dir: Path, holder: str) -> None:
        """Name the directory and the number of the process."""
        super().__init__(
            f"another process (number {holder}) works on {run_dir}; wait for it, or stop it with `kill {holder}`"
        )


def take_lock(run_dir: Path) -> FileIO:
    """Lock a run directory, which must exist, and write this process's number into the lock.

    The system lets go of the lock when the file is closed, or when the process ends, however it ends. A program that takes
    the place of this one holds it still, if the file is inheritable.

    Raises:
        RunLockedError: Another process holds it.
        OSError: It can't be written, or the disk has no locks.
    """
    import fcntl  # noqa: PLC0415 - there is none on Windows

    # Without a buffer, which would hold what a full disk did not take and fail again when it is closed.
    file = (run_dir / LOCK_FILE).open("ab+", buffering=0)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RunLockedError(run_dir, _number(file)) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
    except BaseException:
        file.close()
        raise
    return file


def check_free(run_dir: Path) -> None:
    """Refuse a run directory that a process works on. That there is none, or that it can't be told, is no hindrance.

    Raises:
        RunLockedError: One does.
    """
    import fcntl  # noqa: PLC0415 - there is none on Windows

    try:
        file = (run_dir / LOCK_FILE).open("rb", buffering=0)
    except OSError:
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunLockedError(run_dir, _number(file)) from None
        except OSError:  # a disk without locks, of which the one that takes it tells
            return


def _number(file: FileIO) -> str:
    return file.read().decode().strip() or "unknown"
