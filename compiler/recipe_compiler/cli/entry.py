"""The process ``recipe``: what a command needs of its surroundings, before anything else is loaded."""

import gc


# A command lives for a moment and makes no cycles to speak of: looking for them would cost a tenth of a lint.
gc.disable()

import sys  # noqa: E402
from io import TextIOWrapper  # noqa: E402

from recipe_compiler.cli.main import main  # noqa: E402


def entry() -> None:
    """Run the command that the process was started with, and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a closed stream is None
            stream.reconfigure(errors="backslashreplace")  # a terminal without `→` shows its number
    try:
        code = main()
    finally:
        gc.freeze()  # nor need cycles be looked for at the end of the process: that takes another tenth
    sys.exit(code)
