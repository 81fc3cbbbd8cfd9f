"""``recipe store``: finds the store and the plans that are meant, and lets the runtime look at it."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from recipe_compiler.cli.errors import UsageError
from recipe_compiler.cli.findings import compile_from, print_findings
from recipe_compiler.cli.run import has_runtime
from recipe_compiler.passes.freeze import write
from recipe_compiler.pipeline import Compiled, make_plan
from recipe_schema.exits import Exit
from recipe_schema.planfile import PLAN_FILE, PlanError, read_plan


def run(options: argparse.Namespace) -> int:
    """List, check or clean a store."""
    if options.action == "gc" and not options.keep:
        raise UsageError("`recipe store gc` needs `--keep PLAN…`: what these plans and recipes need stays")
    if options.action != "gc" and (options.keep or options.delete):
        raise UsageError("--keep and --delete belong to `recipe store gc`")
    options.overlay, options.set, options.variant = [], [], None
    try:
        folder = _store(options)
        with tempfile.TemporaryDirectory(prefix="recipe-store-") as temporary:
            plans = [_plan(options, name, Path(temporary) / str(place)) for place, name in enumerate(options.keep)]
            if None in plans:
                return Exit.FINDINGS
            if not has_runtime():
                return Exit.FAILED
            more = ["--keep", *map(str, plans), *(["--delete"] if options.delete else [])] if plans else []
            command = [sys.executable, "-m", "recipe_runtime.keeping", options.action, str(folder), *more]
            return subprocess.run(command, check=False).returncode  # noqa: S603 - our own program
    except PlanError as error:
        print(f"error: {error}", file=sys.stderr)
        return Exit.REFUSED


def _store(options: argparse.Namespace) -> Path:
    """Return the folder that is meant.

    Raises:
        UsageError: There is none.
        PlanError: A plan was named that can't be read.
    """
    subject = Path(options.subject)
    if subject.name == PLAN_FILE:
        subject = subject.parent
    if (subject / PLAN_FILE).exists():
        plan = read_plan(subject)
        folder = Path(plan.execution.root) / str(plan.settings["data.store_dir"])
    elif subject.is_dir():
        folder = subject
    else:
        compiled = compile_from(options, options.subject, must_run=False, look=False)
        if compiled.settings is None or not compiled.settings.fine("data.store_dir"):
            print_findings(compiled, sys.stderr)
            raise UsageError(f"`{options.subject}` does not say where its store is")
        folder = compiled.root / str(compiled.settings["data.store_dir"])
    if not folder.is_dir():
        raise UsageError(f"there is no store at `{folder}`")
    return folder


def _plan(options: argparse.Namespace, name: str, temporary: Path) -> Path | None:
    """Return the folder of a plan, or of a recipe's, which is frozen for the occasion; None if that has errors."""
    subject = Path(name)
    if subject.is_dir() or subject.name == PLAN_FILE:
        return subject if subject.is_dir() else subject.parent
    compiled = compile_from(options, name, must_run=True, all_variants=True)
    if not compiled.ok:
        print_findings(compiled, sys.stderr)
        return None
    if compiled.variants:
        raise UsageError(f"`{name}` has variants; freeze them with `recipe plan {name}`, and name the plans")
    _freeze(compiled, temporary)
    return temporary


def _freeze(compiled: Compiled, folder: Path) -> None:
    assert compiled.survey is not None, "its data were looked at"
    write(make_plan(compiled), compiled.survey.rows, folder)
