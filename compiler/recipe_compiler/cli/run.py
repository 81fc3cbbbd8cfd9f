"""``recipe run``: compile, write the plan into the run directory, and become the runtime."""

import argparse
import importlib.util
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import NoReturn

from recipe_compiler.cli.clear_away import clear_away
from recipe_compiler.cli.findings import compile_from, print_findings
from recipe_compiler.cli.plan_text import plan_text
from recipe_compiler.cli.setting_text import value_or_dash
from recipe_compiler.cli.verdict import verdict
from recipe_compiler.data.verify import verify
from recipe_compiler.machine import this_machine
from recipe_compiler.passes.compare import Change, ChangeClass, changed_settings, other_causes
from recipe_compiler.passes.freeze import write
from recipe_compiler.passes.versions import unsupported_versions
from recipe_compiler.pipeline import make_plan
from recipe_compiler.source import Source, start_of
from recipe_compiler.subject import of_plan
from recipe_schema.earlier import DATA, is_accepted, keep_earlier
from recipe_schema.exits import Exit
from recipe_schema.plan import Plan
from recipe_schema.planfile import PLAN_FILE, PlanError, read_plan
from recipe_schema.run_lock import LOCK_FILE, RunLockedError, check_free, take_lock


SHOWN = 8
CLIPS = "the clips"
"""How `other_causes` begins to tell of data that differ."""

_KINDS: Mapping[ChangeClass, str] = {
    "result": "accepted: it shapes the weights from here on",
    "runtime": "it does not shape the weights",
    "cosmetic": "a name",
    "ignored": "never applied",
}


def run(options: argparse.Namespace) -> int:
    """Execute a recipe or a plan."""
    if Path(options.subject).name == PLAN_FILE:
        options.subject = str(Path(options.subject).parent)  # the file was named, and the plan is its folder
    try:
        return _run_plan(options) if Path(options.subject).is_dir() else _run_recipe(options)
    except (PlanError, RunLockedError) as error:
        print(f"error: {error}", file=sys.stderr)
        return Exit.REFUSED


def _run_plan(options: argparse.Namespace) -> int:
    plan, plan_dir = frozen(options), Path(options.subject)
    if _is_another_machine(options, plan):
        return _start(options, plan, plan_dir, check_run_directory(plan))
    run_dir = run_directory(plan)
    check_free(run_dir)
    changed = check_run_directory(plan)
    with _hold(run_dir) as lock:
        return _start(options, plan, plan_dir, changed, "--lock", str(lock.fileno()))


def _run_recipe(options: argparse.Namespace) -> int:
    compiled = compile_from(options, options.subject, must_run=True)
    print_findings(compiled, sys.stderr)
    if not compiled.ok:
        return Exit.FINDINGS
    assert compiled.survey is not None
    plan = make_plan(compiled)
    if _is_another_machine(options, plan):
        folder = Path(tempfile.mkdtemp(prefix="recipe-machine-"))
        write(plan, compiled.survey.rows, folder)
        return _train_along(options, plan, folder)
    run_dir = run_directory(plan)
    check_free(run_dir)
    changed = check_run_directory(plan)
    with _hold(run_dir) as lock:
        clear_away(compiled)
        write(plan, compiled.survey.rows, run_dir / "plan")
        return _start(options, plan, run_dir / "plan", changed, "--lock", str(lock.fileno()))


def _start(options: argparse.Namespace, plan: Plan, plan_dir: Path, changed: str, *more: str) -> int:
    """Say what is going to be done, and become the runtime."""
    if not has_runtime():
        return Exit.FAILED
    run_dir = str(run_directory(plan))
    if not options.quiet:
        place = f"  run        {run_dir}\n" + (f"{changed}\n" if changed else "")
        print(plan_text(plan), place, sep="\n", file=sys.stderr, flush=True)
    verbose = ["--verbose"] if options.verbose else []
    return become_runtime([str(plan_dir), "--run-dir", run_dir, *_place(options), *more, *verbose], quiet=options.quiet)


def _is_another_machine(options: argparse.Namespace, plan: Plan) -> bool:
    """Tell whether this is not the first of several machines, by the arguments or torchrun's variable."""
    if plan.settings["launch.machines"] == 1:
        return False
    number: str = os.environ.get("NODE_RANK", "0") if options.machine is None else options.machine
    return number != "0"


def _train_along(options: argparse.Namespace, plan: Plan, plan_dir: Path) -> int:
    """Become one of the other machines, which write no run directory and need the plan no longer than that."""
    if not has_runtime():
        return Exit.FAILED
    command = [str(plan_dir), "--run-dir", str(run_directory(plan)), *_place(options), "--discard-plan"]
    return become_runtime(command, quiet=options.quiet)


def _place(options: argparse.Namespace) -> list[str]:
    """Return what the runtime is told of several machines."""
    given = (("--machine", options.machine), ("--meeting", options.meeting))
    return [word for name, value in given if value is not None for word in (name, value)]


def has_runtime() -> bool:
    """Tell whether this installation can execute plans, and say so if it can't."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("diffusers") is None:
        print("error: training needs torch and diffusers: pip install 'sana-recipes[train]'", file=sys.stderr)
        return False
    return True


def frozen(options: argparse.Namespace) -> Plan:
    """Read a plan that was made before, and check that its clips are what they were.

    Raises:
        PlanError: It can't be run as it is.
    """
    if options.overlay or options.set or options.variant:
        raise PlanError("a plan is frozen, so -f, --set and --variant can't change it; give them with the recipe")
    verified = verify(Path(options.subject))
    if verified.plan is None or verified.found:
        raise PlanError(verdict(options.subject, verified))
    start = start_of(Source(options.subject, ""))
    old = [found for found in unsupported_versions(this_machine(os.environ), start) if found.severity == "error"]
    if old:
        raise PlanError(f"{old[0].message}; {old[0].help}")
    return verified.plan


def run_directory(plan: Plan) -> Path:
    """Return the folder that a plan's run writes to."""
    return Path(os.path.normpath(Path(plan.execution.root) / str(plan.execution.settings["output_dir"])))


def _hold(run_dir: Path) -> FileIO:
    """Make a run directory and lock it, before its plan is written and until the runtime ends.

    Raises:
        PlanError: It can't be written.
        RunLockedError: Another process works on it.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock = take_lock(run_dir)
    except OSError as error:
        raise PlanError(
            f"{run_dir} can't be written: {error.strerror}; make room or correct the rights, or name another place in `output_dir`"
        ) from error
    os.set_inheritable(lock.fileno(), True)
    return lock


def check_run_directory(plan: Plan) -> str:
    """Refuse a run directory that holds another run, or something that is no run at all.

    Settings of the run may differ that do not shape the weights, and those that the plan accepts. The plan of the run is
    then remembered, see `recipe_schema.earlier`.

    Returns:
        What has changed since the run began, in lines; empty if nothing has.

    Raises:
        PlanError: It does. The message says what differs.
    """
    run_dir = run_directory(plan)
    if not run_dir.exists():
        return ""
    if not run_dir.is_dir():
        raise PlanError(f"{run_dir} is a file, and no folder; choose another `output_dir`")
    if not (run_dir / "plan" / PLAN_FILE).exists():
        if {path.name for path in run_dir.iterdir()} <= {"plan", LOCK_FILE} and not (run_dir / "plan").is_file():
            return ""  # empty, or left by one that was stopped before it had a plan
        raise PlanError(f"{run_dir} holds files and is no run directory; choose another `output_dir`")
    if not any((run_dir / "checkpoints").glob("step-*")):
        return ""  # nothing was trained yet, so there is nothing to go on with
    old = read_plan(run_dir / "plan")
    changes = tuple(changed_settings(of_plan(old, None, "the run"), of_plan(plan, None, "the plan")))
    if old.plan_id == plan.plan_id:
        return _told([change for change in changes if change.kind != "result"])
    accepted = tuple(plan.execution.settings["checkpoints.accept_changes"])
    shaping = [change for change in changes if change.kind == "result"]
    others = list(other_causes(old, plan))
    refused = [change for change in shaping if not is_accepted(change.path, accepted)]
    refused_others = [cause for cause in others if not (DATA in accepted and cause.startswith(CLIPS))]
    if refused or refused_others or not (shaping or others):
        names = ", ".join(dict.fromkeys([change.path for change in refused] + [DATA] * bool(refused_others)))
        raise PlanError(
            f"{run_dir} holds a run of another plan. Changed since: {_named(refused, refused_others)}. "
            "Undo the change to resume, choose another `output_dir` to train anew, go on there from a checkpoint of this run "
            f"with `checkpoints.resume`, or go on here by naming it: `checkpoints.accept_changes: [{names}]`"
        )
    keep_earlier(run_dir, old.plan_id)
    return _told(changes)


def _told(changes: Sequence[Change]) -> str:
    """Say which settings have changed since a run began, by what they do; empty if none has."""
    lines = []
    for kind, words in _KINDS.items():
        named = [change for change in changes if change.kind == kind]
        if named:
            lines.append(f"  changed    {_named(named, [])} ({words})")
    return "\n".join(lines)


def _named(changes: Sequence[Change], others: Sequence[str]) -> str:
    """Name what differs between two plans."""
    named = [f"{change.path} ({value_or_dash(change.old)} → {value_or_dash(change.new)})" for change in changes]
    named += others
    rest = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return (", ".join(named[:SHOWN]) or "the stages of the tool") + rest


def become_runtime(arguments: Sequence[str], *, quiet: bool, module: str = "recipe_runtime") -> NoReturn:
    """Replace this process by the runtime, so that signals and the exit code are its own."""
    command = [sys.executable, "-m", module, *arguments, *(["--quiet"] if quiet else [])]
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted
