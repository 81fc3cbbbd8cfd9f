"""``recipe watch``, ``report`` and ``push``: hand finished or living runs to the runtime's programs that need no torch."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from recipe_compiler.cli.errors import UsageError
from recipe_schema.events import EVENTS_FILE


def check_folder(folder: str) -> Path:
    """Return the path of a folder.

    Raises:
        UsageError: It is none.
    """
    path = Path(folder)
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise UsageError(f"`{folder}` {what}; name a run directory: what a recipe calls `output_dir`")
    return path


def check_run(folder: str) -> None:
    """Check that a folder is a run directory.

    Raises:
        UsageError: It is none.
    """
    path = check_folder(folder)
    if not (path / EVENTS_FILE).is_file():
        raise UsageError(f"`{folder}` is no run directory: there is no {EVENTS_FILE} in it")


def become(program: str, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by a program of the runtime, so that signals and the exit code are its own."""
    os.execv(sys.executable, [sys.executable, "-m", program, *arguments])  # noqa: S606 - no shell is wanted
