"""``recipe watch``: serves a page that follows runs."""

import argparse
from typing import NoReturn

from recipe_compiler.cli.errors import UsageError
from recipe_compiler.cli.runs import become, check_folder


_LAST_PORT = 65535


def run(options: argparse.Namespace) -> NoReturn:
    """Become the server."""
    if options.port is not None and not 0 <= options.port <= _LAST_PORT:
        raise UsageError(f"--port {options.port} is no port: they go from 0, which takes any, to {_LAST_PORT}")
    for folder in options.runs:
        check_folder(folder)
    port = [] if options.port is None else ["--port", str(options.port)]
    become("recipe_runtime.pages", ["watch", *port, *(["--open"] if options.open else []), "--", *options.runs])
