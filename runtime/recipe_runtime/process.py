"""What a process has of the system and needs no torch for: variables of the environment, and the lock of a run."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from recipe_runtime.errors import RunError
from recipe_schema.run_lock import LOCK_FILE, RunLockedError, take_lock


def environment() -> Mapping[str, str]:
    """Return the variables of the environment, for those who find addresses and tokens there by name."""
    return dict(os.environ)


@contextmanager
def run_lock(run_dir: Path, held: int | None = None) -> Iterator[None]:
    """Hold the lock of a run directory, which the system lets go of when the process ends, however it ends.

    Args:
        run_dir: It must exist.
        held: A descriptor of the lock that this process has from the program whose place it took.

    Raises:
        RunError: Another process holds it, or it can't be written.
    """
    try:
        if held is None:
            file = take_lock(run_dir)
        else:
            os.set_inheritable(held, False)  # no program that this one starts may hold it longer
            file = os.fdopen(held, "ab+", buffering=0)
    except RunLockedError as error:
        raise RunError(str(error)) from None
    except OSError as error:
        path = run_dir / LOCK_FILE
        raise RunError(
            f"{path} can't be written: {error}; make room or correct the rights, or name another place in `output_dir`"
        ) from error
    with file:
        yield
