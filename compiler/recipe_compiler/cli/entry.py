"""The process ``recipe``: what a command needs of its surroundings, before anything else is loaded."""

import gc


# A command lives for a moment and makes no cycles to speak of: looking for them would cost a tenth of a lint.
gc.disable()

import os  # noqa: E402
import sys  # noqa: E402
from io import TextIOWrapper  # noqa: E402

from recipe_compiler.cli.main import main  # noqa: E402


def entry() -> None:
    """Run the command that the process was started with, and end the process with its exit code."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without `→` shows its number
    try:
        code = main()
    finally:
        gc.freeze()  # nor need cycles be looked for at the end of the process: that takes another tenth
    sys.exit(code)


def _open_what_is_closed() -> None:
    """Let streams that the process was started without lead nowhere, for itself and for the runtime that it becomes."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
            os.set_inheritable(number, True)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
