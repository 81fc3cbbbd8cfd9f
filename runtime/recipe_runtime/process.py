"""What a process has of the system and needs no torch for: variables of the environment, and the lock of a run."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from recipe_runtime.errors import RunError
from recipe_schema.run_lock import LOCK_FILE


def environment() -> Mapping[str, str]:
    """Return the variables of the environment, for those who find addresses and tokens there by name."""
    return dict(os.environ)


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
