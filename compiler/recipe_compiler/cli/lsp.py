"""``recipe lsp``: serve an editor over stdin and stdout."""

import argparse
import gc
import os
import sys
from importlib.util import find_spec

from recipe_compiler.cli.errors import UsageError
from recipe_schema.exits import Exit


def run(options: argparse.Namespace) -> int:
    """Serve until the editor goes away."""
    del options  # --stdio is what it does anyway; editors give it
    if find_spec("pygls") is None:
        raise UsageError("`recipe lsp` needs pygls: pip install 'sana-recipes[lsp]'")
    from recipe_compiler.data.index import default_index_file
    from recipe_compiler.lsp.server import make_server

    gc.enable()  # this process stays
    sys.stdout.flush()
    asks, answers = os.dup(sys.stdin.fileno()), os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what is printed by mistake must not get between the answers
    make_server(default_index_file()).start_io(os.fdopen(asks, "rb"), os.fdopen(answers, "wb"))
    return Exit.OK
