"""``recipe push``: uploads a finished run to the Hugging Face hub."""

import argparse
from typing import NoReturn

from recipe_compiler.cli.runs import become, check_run


def run(options: argparse.Namespace) -> NoReturn:
    """Become the program that uploads."""
    check_run(options.run)
    to = [] if options.to is None else ["--to", options.to]
    flags = [f"--{name}" for name in ("public", "quiet") if getattr(options, name)]
    become("recipe_runtime.push", [*to, *flags, "--", options.run])
