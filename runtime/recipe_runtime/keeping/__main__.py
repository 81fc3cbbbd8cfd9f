"""``python -m recipe_runtime.keeping ls|verify|gc STORE``. Listing starts without torch."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from recipe_runtime.errors import RunError
from recipe_runtime.keeping.listing import listed
from recipe_schema.decode import DecodeError
from recipe_schema.exits import Exit
from recipe_schema.planfile import PlanError


def main(arguments: Sequence[str] | None = None) -> int:
    """Look after a store and return the exit code of the process."""
    options = _parser().parse_args(arguments)
    try:
        return _act(options)
    except (PlanError, DecodeError) as error:
        return _fail(str(error), Exit.REFUSED)
    except RunError as error:
        return _fail(str(error), error.exit_code)
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}", Exit.USAGE)


def _act(options: argparse.Namespace) -> int:
    if options.action == "ls":
        sys.stdout.write(listed(options.store))
        return Exit.OK
    # What follows needs torch, which takes seconds to load.
    if options.action == "verify":
        from recipe_runtime.keeping.verify import verify  # noqa: PLC0415

        return verify(options.store)
    from recipe_runtime.keeping.collect import collect  # noqa: PLC0415

    return collect(options.store, options.keep, delete=options.delete)


def _fail(message: str, exit_code: int) -> int:
    sys.stderr.write(f"recipe: {message}\n")
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recipe_runtime.keeping", description="Look after a store.")
    parser.add_argument("action", choices=("ls", "verify", "gc"))
    parser.add_argument("store", type=Path, metavar="STORE")
    parser.add_argument("--keep", type=Path, nargs="+", default=[], metavar="PLAN_DIR", help="gc: plans that need it")
    parser.add_argument("--delete", action="store_true", help="gc: remove what is named")
    return parser


if __name__ == "__main__":
    sys.exit(main())
