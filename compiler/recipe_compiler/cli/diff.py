"""``recipe diff``: what differs between two recipes or plans."""

import argparse
import sys
from pathlib import Path

from recipe_compiler.cli.diff_text import as_json, as_text
from recipe_compiler.cli.findings import compile_from, print_findings, print_json
from recipe_compiler.data.ledger_file import read_ledger
from recipe_compiler.passes.compare import compare
from recipe_compiler.subject import Subject, of_plan, of_recipe
from recipe_schema.exits import Exit
from recipe_schema.planfile import PLAN_FILE, PlanError, read_plan


def run(options: argparse.Namespace) -> int:
    """Compare two recipes or plans."""
    if Path(options.b).is_dir() and (options.overlay or options.set):
        print(f"error: {options.b} is a plan and frozen, so -f and --set can't change it", file=sys.stderr)
        return Exit.USAGE
    plain = argparse.Namespace(**{**vars(options), "overlay": [], "set": []})
    try:
        a, b = _subject(plain, options.a), _subject(options, options.b)
    except PlanError as error:
        print(f"error: {error}", file=sys.stderr)
        return Exit.REFUSED
    if a is None or b is None:
        return Exit.USAGE
    comparison = compare(a, b)
    if options.format == "json":
        print_json(as_json(comparison))
    else:
        print(as_text(comparison))
    return Exit.OK if comparison.same else Exit.FINDINGS


def _subject(options: argparse.Namespace, name: str) -> Subject | None:
    """Read a recipe, a plan, or the plan of a run. A recipe with errors says so, and gives None."""
    if Path(name).is_dir():
        of_run = Path(name) / "plan"
        folder = of_run if (of_run / PLAN_FILE).is_file() else Path(name)
        return of_plan(read_plan(folder), read_ledger(folder), name)
    compiled = compile_from(options, name, must_run=False, look=not options.no_data)
    if not compiled.ok:
        print_findings(compiled, sys.stderr)
        return None
    return of_recipe(compiled)
