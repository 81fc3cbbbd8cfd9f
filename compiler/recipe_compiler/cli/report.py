"""``recipe report``: writes a run as one HTML file."""

import argparse
from typing import NoReturn

from recipe_compiler.cli.errors import UsageError
from recipe_compiler.cli.runs import become, check_run


def run(options: argparse.Namespace) -> NoReturn:
    """Become the program that writes the report."""
    if options.steps < 0:
        raise UsageError(f"--steps {options.steps} is no number of steps")
    check_run(options.run)
    output = [] if options.output is None else ["--output", options.output]
    become("recipe_runtime.pages", ["report", "--steps", str(options.steps), *output, "--", options.run])
