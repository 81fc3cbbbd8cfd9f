"""``recipe lint --fix`` and ``--diff``: fixes in the files that are named, and in no others."""

import argparse
import codecs
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from recipe_compiler.cli.findings import compile_from
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.diagnostics.selection import Selection
from recipe_compiler.fixes.fix import Fixed, fix
from recipe_compiler.passes.compose import read_source
from recipe_compiler.source import Source
from recipe_schema.files import write_atomically
from recipe_schema.record import replace


def fix_file(options: argparse.Namespace, file: str, selection: Selection | None) -> Sequence[Diagnostic]:
    """Write a file anew with its fixes, and return the findings that were cured."""
    source = _read(file)
    if source is None:
        return ()
    fixed = _fixed(options, source, selection)
    if fixed.applied:
        target = Path(file).resolve()  # what a link leads to, and not the link
        mark = codecs.BOM_UTF8 if target.read_bytes().startswith(codecs.BOM_UTF8) else b""
        write_atomically(target, mark + fixed.source.text.encode(), mode=target.stat().st_mode & 0o7777)
        for finding in fixed.applied:
            print(f"fixed {finding.code}: {finding.message}; {finding.help}", file=sys.stderr)
        print(f"{file}: {_counted(fixed)} fixed", file=sys.stderr)
    return fixed.applied


def print_difference(options: argparse.Namespace, file: str, selection: Selection | None) -> Sequence[Diagnostic]:
    """Print what fixes would change in a file, and return all its findings. The data are not looked at.

    What would be fixed counts as an error: a file that is to be changed is not in order.
    """
    source = _read(file)
    if source is None:
        return compile_from(options, file, must_run=False, look=False, all_variants=True).found
    fixed = _fixed(options, source, selection)
    old, new = (text.splitlines(keepends=True) for text in (source.text, fixed.source.text))
    for line in difflib.unified_diff(old, new, file, file):
        print(line, end="" if line.endswith("\n") else "\n\\ No newline at end of file\n")
    if fixed.applied:
        print(f"{file}: {_counted(fixed)} would be fixed", file=sys.stderr)
    return (*(replace(finding, severity="error") for finding in fixed.applied), *fixed.left)


def _read(file: str) -> Source | None:
    """Read a file; None if it is no text, which a lint tells."""
    try:
        return read_source(Path(file))
    except UnicodeDecodeError:
        return None


def _fixed(options: argparse.Namespace, source: Source, selection: Selection | None) -> Fixed:
    def lint(text: Source) -> Sequence[Diagnostic]:
        found = compile_from(options, source.name, must_run=False, look=False, all_variants=True, text=text).found
        return [d for d in found if selection is None or selection.shows(d)]

    return fix(source, lint, unsafe=options.unsafe_fixes)


def _counted(fixed: Fixed) -> str:
    return f"{len(fixed.applied)} finding{'s' * (len(fixed.applied) != 1)}"
