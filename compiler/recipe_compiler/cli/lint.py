"""``recipe lint``: findings, and nothing else."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from recipe_compiler.cli.errors import UsageError, unreadable
from recipe_compiler.cli.findings import compile_from, print_findings, print_for_machines, print_json
from recipe_compiler.diagnostics.diagnostic import Diagnostic, has_errors
from recipe_compiler.diagnostics.render_json import to_json
from recipe_compiler.diagnostics.render_text import summary
from recipe_compiler.pipeline import Compiled
from recipe_schema.exits import Exit
from recipe_schema.record import replace


if TYPE_CHECKING:  # only a lint that selects needs it
    from recipe_compiler.diagnostics.selection import Selection


def run(options: argparse.Namespace) -> int:
    """Check every file, and report all findings."""
    selection = _selection(options)
    fixed: list[Diagnostic] = []
    found: list[Diagnostic]
    if options.fix or options.diff:
        from recipe_compiler.cli.fix import fix_file, print_difference

        if options.diff:
            found = [d for file in options.files for d in print_difference(options, file, selection)]
            return _status(found, options)
        fixed = [d for file in options.files for d in fix_file(options, file, selection)]
    elif options.unsafe_fixes:
        raise UsageError("--unsafe-fixes goes with --fix or --diff")
    found = []
    hidden: list[Diagnostic] = []
    unread = False
    for file in options.files:
        try:
            compiled = compile_from(options, file, must_run=False, look=not options.no_data, all_variants=True)
        except OSError as error:  # the other files are checked all the same
            print(f"error: {unreadable(error)}", file=sys.stderr)
            unread = True
            continue
        shown = [d for d in compiled.found if selection is None or selection.shows(d)]
        hidden += [d for d in compiled.found if d not in shown]
        found += shown
        if options.format == "text":
            _print(replace(compiled, found=tuple(shown)), file)
    if options.format == "json":
        print_json({**to_json(found), "hidden": len(hidden), "fixed": to_json(fixed)["diagnostics"]})
    elif options.format != "text":
        print_for_machines(found, options.format)
    if hidden:
        print(f"not shown, because of --select or --ignore: {summary(hidden)}", file=sys.stderr)
    return Exit.USAGE if unread else _status(found, options)


def _print(compiled: Compiled, file: str) -> None:
    print_findings(compiled, sys.stdout)
    fixable = sum(d.safe and (d.fix is not None or bool(d.move)) for d in compiled.found)
    if fixable:
        print(f"{file}: --fix may put {fixable} of them right; --diff shows how")
    if not compiled.found:
        print(f"{file}: no findings" + (f" in {len(compiled.variants)} variants" if compiled.variants else ""))


def _status(found: Sequence[Diagnostic], options: argparse.Namespace) -> int:
    return Exit.FINDINGS if has_errors(found) or (options.strict and found) else Exit.OK


def _selection(options: argparse.Namespace) -> "Selection | None":
    """Read what is to be shown; None for all."""
    if not options.select and not options.ignore:
        return None
    from recipe_compiler.diagnostics.selection import SelectionError, parse_selection
    from recipe_compiler.pages import all_pages

    try:
        return parse_selection(options.select, options.ignore, {p.code: p.name for p in all_pages().values()})
    except SelectionError as error:
        raise UsageError(str(error)) from None
