"""``recipe encode``: compile as ``recipe run`` does, and let the runtime fill the store and stop there."""

import argparse
import re
import sys
import tempfile
from pathlib import Path

from recipe_compiler.cli.errors import UsageError
from recipe_compiler.cli.findings import compile_from, print_findings
from recipe_compiler.cli.run import become_runtime, frozen, has_runtime
from recipe_compiler.passes.freeze import write
from recipe_compiler.pipeline import make_plan
from recipe_schema.exits import Exit
from recipe_schema.planfile import PLAN_FILE, PlanError


_WORKER = re.compile(r"(\d{1,6})/(\d{1,6})")


def run(options: argparse.Namespace) -> int:
    """Encode for a recipe or a plan."""
    worker = [] if options.worker is None else ["--worker", _worker(options.worker)]
    if Path(options.subject).name == PLAN_FILE:
        options.subject = str(Path(options.subject).parent)
    if Path(options.subject).is_dir():
        try:
            frozen(options)
        except PlanError as error:
            print(f"error: {error}", file=sys.stderr)
            return Exit.REFUSED
        command = [options.subject, "--encode", *worker]
        return become_runtime(command, quiet=options.quiet) if has_runtime() else Exit.FAILED
    return _recipe(options, worker)


def _recipe(options: argparse.Namespace, worker: list[str]) -> int:
    """Freeze a recipe for this process alone: several may be at work, and a run directory is for one."""
    compiled = compile_from(options, options.subject, must_run=True)
    print_findings(compiled, sys.stderr)
    if not compiled.ok:
        return Exit.FINDINGS
    if not has_runtime():
        return Exit.FAILED
    assert compiled.survey is not None, "its data were looked at"
    folder = Path(tempfile.mkdtemp(prefix="recipe-encode-"))
    write(make_plan(compiled), compiled.survey.rows, folder)
    return become_runtime([str(folder), "--encode", "--discard-plan", *worker], quiet=options.quiet)


def _worker(text: str) -> str:
    """Return what the runtime is told.

    Raises:
        UsageError: It names no worker.
    """
    match = _WORKER.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"`--worker {text}` is no worker; write its number and how many there are, as in 1/4")
    return text
