"""``recipe encode``: compile as ``recipe run`` does, and let the runtime fill the store and stop there."""

import argparse
import re

from recipe_compiler.cli.errors import UsageError
from recipe_compiler.cli.run import become_runtime, prepare


_WORKER = re.compile(r"(\d{1,6})/(\d{1,6})")


def run(options: argparse.Namespace) -> int:
    """Encode for a recipe or a plan."""
    worker = [] if options.worker is None else ["--worker", _worker(options.worker)]
    ready = prepare(options)
    if isinstance(ready, int):
        return ready
    _, plan_dir = ready
    return become_runtime([str(plan_dir), "--encode", *worker], quiet=options.quiet)


def _worker(text: str) -> str:
    """Return what the runtime is told.

    Raises:
        UsageError: It names no worker.
    """
    match = _WORKER.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"`--worker {text}` is no worker; write its number and how many there are, as in 1/4")
    return text
