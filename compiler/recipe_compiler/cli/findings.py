"""What several commands do alike: compile what the arguments name, and show findings."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from recipe_compiler.diagnostics.render_text import render_text, summary
from recipe_compiler.pipeline import Compiled, Options, compile_recipe, silent


def compile_from(options: argparse.Namespace, file: str, *, must_run: bool, look: bool = True) -> Compiled:
    """Compile the recipe that a command was given.

    Args:
        options: The command's arguments.
        file: The recipe.
        must_run: What is missing is an error.
        look: Look into the data folders.
    """
    return compile_recipe(
        Path(file),
        Options(
            overlays=[Path(overlay) for overlay in options.overlay],
            overrides=options.set,
            look_at_data=look,
            must_run=must_run,
            index_file=_index_file() if look else None,
            report=_progress if sys.stderr.isatty() else silent,
        ),
    )


def _index_file() -> Path:
    from recipe_compiler.data.index import default_index_file

    return default_index_file()


def _progress(done: int, total: int) -> None:
    """Draw one line of progress while clips are probed; short looks stay silent."""
    if total < 200 or (done % 50 and done != total):  # noqa: PLR2004
        return
    end = "\r" if done < total else "\r\x1b[K"
    print(f"looking at clips: {done:,} of {total:,}", end=end, file=sys.stderr, flush=True)


def wants_color(stream: TextIO) -> bool:
    """Say whether a stream is a terminal that may be painted."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def print_findings(compiled: Compiled, stream: TextIO) -> None:
    """Show the findings of a recipe for people, and count them."""
    if compiled.found:
        print(render_text(compiled.found, color=wants_color(stream)), file=stream)
        print(f"{compiled.path}: {summary(compiled.found)}", file=stream)


def print_json(value: Any) -> None:
    """Print JSON for machines."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
