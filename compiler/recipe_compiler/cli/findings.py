"""What several commands do alike: compile what the arguments name, and show findings."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from recipe_compiler.cli.errors import UsageError
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.diagnostics.render_text import render_text, summary
from recipe_compiler.passes.variants import VariantError, listed
from recipe_compiler.pipeline import Compiled, Options, compile_recipe, compile_source, silent
from recipe_compiler.source import Source


def compile_from(
    options: argparse.Namespace,
    file: str,
    *,
    must_run: bool,
    look: bool = True,
    all_variants: bool = False,
    text: Source | None = None,
) -> Compiled:
    """Compile the recipe that a command was given.

    Args:
        options: The command's arguments.
        file: The recipe.
        must_run: What is missing is an error.
        look: Look into the data folders.
        all_variants: The command can do with several variants of a recipe at once.
        text: What to take the file for, instead of what is in it.

    Raises:
        UsageError: The recipe has several variants, or not the one that was chosen.
    """
    how = Options(
        overlays=[Path(overlay) for overlay in options.overlay],
        overrides=options.set,
        look_at_data=look,
        must_run=must_run,
        starts_here=options.command in ("run", "encode", "doctor"),
        index_file=_index_file() if look else None,
        rehash=options.rehash,
        report=_progress if sys.stderr.isatty() else silent,
        measuring=_measuring if sys.stderr.isatty() else silent,
        variant=options.variant,
        environment=os.environ,
    )
    path = Path(file)
    try:
        compiled = compile_recipe(path, how) if text is None else compile_source(text, path, how)
    except VariantError as error:
        raise UsageError(f"`{file}`: {error}") from None
    if compiled.variants and not all_variants:
        ids = [each.variant.id for each in compiled.variants if each.variant is not None]
        raise UsageError(f"`{file}` has {len(ids)} variants; choose one with `--variant ID`:\n{listed(ids)}")
    return compiled


def looking() -> Options:
    """Say how a command looks at clips for which there is no recipe yet."""
    return Options(
        index_file=_index_file(), report=_progress if sys.stderr.isatty() else silent, environment=os.environ
    )


def _index_file() -> Path | None:
    from recipe_compiler.data.index import default_index_file

    return default_index_file()


def _progress(done: int, total: int) -> None:
    """Draw one line of progress while clips are probed; short looks stay silent."""
    if total < 200 or (done % 50 and done != total):  # noqa: PLR2004
        return
    _draw(f"looking at clips: {done:,} of {total:,}", last=done == total)


def _measuring(done: int, total: int) -> None:
    """Draw one line of progress while the motion of clips is measured: that takes as long as to decode them."""
    bar = "━" * round(_BAR * done / max(total, 1))
    _draw(f"measuring motion: {bar:<{_BAR}} {done:,} of {total:,}", last=done == total)


_BAR = 20
"""Characters."""


def _draw(line: str, *, last: bool) -> None:
    print(line, end="\r\x1b[K" if last else "\r", file=sys.stderr, flush=True)


def wants_color(stream: TextIO | None) -> bool:
    """Say whether a stream is a terminal that may be painted."""
    return stream is not None and stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def print_findings(compiled: Compiled, stream: TextIO) -> None:
    """Show the findings of a recipe for people, and count them."""
    if compiled.found:
        print(render_text(compiled.found, color=wants_color(stream)), file=stream)
        print(f"{compiled.path}: {summary(compiled.found)}", file=stream)


def print_for_machines(found: Sequence[Diagnostic], form: str) -> None:
    """Show findings in the form that a service wants: `github` or `sarif`."""
    if form == "github":
        from recipe_compiler.diagnostics.render_github import render_github

        print(render_github(found), end="")
    else:
        from recipe_compiler.diagnostics.render_sarif import to_sarif
        from recipe_compiler.pages import all_pages

        print_json(to_sarif(found, all_pages()))


def print_json(value: Any) -> None:
    """Print JSON for machines."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
