"""``recipe replay``: let the runtime take a failed step again."""

import argparse
from pathlib import Path

from recipe_compiler.cli.errors import UsageError
from recipe_compiler.cli.run import become_runtime, has_runtime
from recipe_schema.exits import Exit


FAILURE = "failure.json"


def run(options: argparse.Namespace) -> int:
    """Take a step again that a run has left behind."""
    folder = Path(options.bundle)
    if folder.name == FAILURE:
        folder = folder.parent  # the file was named, and the bundle is its folder
    if not (folder / FAILURE).is_file():
        left = sorted(path.parent for path in folder.glob(f"failure-*/{FAILURE}"))
        advice = f"name `{left[-1]}`" if left else "name a folder failure-STEP of a run directory"
        raise UsageError(f"`{folder}` holds no {FAILURE}; {advice}")
    if not has_runtime():
        return Exit.FAILED
    arguments = [str(folder), "--format", options.format]
    for name in ("root", "device", "mixed_precision"):
        value = getattr(options, name)
        arguments += [] if value is None else [f"--{name.replace('_', '-')}", value]
    return become_runtime(arguments, quiet=False, module="recipe_runtime.replay")
