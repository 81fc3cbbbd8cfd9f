"""The entry point: arguments, dispatch, exit codes. A command's own module is loaded only when it runs."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from recipe_compiler.cli.arguments import build_parser, parse
from recipe_compiler.cli.errors import UsageError, unreadable
from recipe_schema.exits import Exit


_MODULES = {"import": "import_recipe", "export": "export_recipe"}
"""Modules of commands whose names Python reserves, or that go with one."""

_AT_WORK = frozenset({"encode", "fetch", "plan", "push", "replay", "run"})
"""Commands that go on when nobody reads what they say. The others are there to be read, and end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Without the program's name; those of the process by default.

    Returns:
        An exit code, see `recipe_schema.exits.Exit`.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parse(given)
    if options is None:
        build_parser().print_help()
        return Exit.USAGE
    try:
        status = _run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, went away
        _drop_output()
        return Exit.OK
    except OSError as error:  # ours name a file and were told already; this is the output
        _drop_output()
        print(f"error: the output can't be written: {error.strerror}", file=sys.stderr)
        return Exit.USAGE
    except Exception:  # noqa: BLE001 - the last line of defense: whatever gets here is a fault of ours
        import traceback

        traceback.print_exc()
        print("\nThis is a fault of sana-recipes itself. Please report it with the lines above.", file=sys.stderr)
        return Exit.BUG
    return status


def _drop_output() -> None:
    """Let what is still to be written go nowhere, so that the end of the process does not fail on it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(options: argparse.Namespace) -> int:
    command = importlib.import_module(f"recipe_compiler.cli.{_MODULES.get(options.command, options.command)}")
    try:
        if options.command not in _AT_WORK:
            return int(command.run(options))
        from recipe_schema.lasting import lasting_output

        with lasting_output():
            return int(command.run(options))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return Exit.USAGE
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {unreadable(error)}", file=sys.stderr)
        return Exit.USAGE
