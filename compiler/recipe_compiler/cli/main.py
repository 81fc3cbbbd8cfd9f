"""The entry point: arguments, dispatch, exit codes. A command's own module is loaded only when it runs."""

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Sequence

from recipe_compiler.cli.arguments import build_parser
from recipe_schema.exits import Exit


# A command lives for a moment and makes no cycles to speak of: looking for them costs a tenth of a lint.
gc.disable()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Without the program's name; those of the process by default.

    Returns:
        An exit code, see `recipe_schema.exits.Exit`.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return Exit.USAGE
    try:
        return _run(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception:  # noqa: BLE001 - the last line of defense: whatever gets here is a fault of ours
        import traceback

        traceback.print_exc()
        print("\nThis is a fault of sana-recipes itself. Please report it with the lines above.", file=sys.stderr)
        return Exit.BUG


def _run(options: argparse.Namespace) -> int:
    command = importlib.import_module(f"recipe_compiler.cli.{options.command}")
    try:
        return int(command.run(options))
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: `{error.filename}`: {error.strerror}", file=sys.stderr)
        return Exit.USAGE
