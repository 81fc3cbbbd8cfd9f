"""Keeps the plan in the run directory, and refuses a run directory that holds another plan's training."""

from contextlib import suppress
from pathlib import Path

from recipe_runtime.errors import PlanRefused, RunError
from recipe_schema.files import write_atomically
from recipe_schema.plan import Plan
from recipe_schema.planfile import LEDGER_FILE, PLAN_FILE, PlanError, read_plan


PLAN_FOLDER = "plan"
"""In a run directory: a copy of the plan that it executes."""


def keep_plan(plan: Plan, plan_dir: Path, run_dir: Path) -> None:
    """Copy the plan to ``run_dir/plan``.

    Args:
        plan: The plan, read from ``plan_dir``.
        plan_dir: Its directory. It may be ``run_dir/plan`` itself.
        run_dir: The run directory. It must exist.

    Raises:
        PlanRefused: The run directory has checkpoints of another plan, or the plan has no ledger.
        RunError: The copy can't be written.
    """
    target = run_dir / PLAN_FOLDER
    if (target / PLAN_FILE).exists():
        if target.samefile(plan_dir):
            return
        _check_same(plan, target, run_dir)
    for name in (LEDGER_FILE, PLAN_FILE):
        try:
            content = (plan_dir / name).read_bytes()
        except FileNotFoundError:
            raise PlanRefused(
                f"{plan_dir / name} does not exist; make the plan anew with `recipe plan RECIPE`"
            ) from None
        try:
            target.mkdir(exist_ok=True)
            write_atomically(target / name, content)
        except OSError as error:
            raise RunError(
                f"{target / name} can't be written: {error}; make room or correct the rights, and run the same "
                "command again"
            ) from error


def discard_plan(plan_dir: Path) -> None:
    """Remove a plan that was made for one process, and its folder if that holds nothing else."""
    with suppress(OSError):  # it only takes room
        for name in (LEDGER_FILE, PLAN_FILE):
            (plan_dir / name).unlink(missing_ok=True)
        plan_dir.rmdir()


def _check_same(plan: Plan, target: Path, run_dir: Path) -> None:
    try:
        before = read_plan(target).plan_id
    except PlanError:
        # A copy of an older version, or half of one: nothing can go on from it, and it is replaced.
        before = None
    trained = any((run_dir / "checkpoints").glob("step-*"))
    if trained and before != plan.plan_id:
        raise PlanRefused(
            f"{run_dir} holds checkpoints of another plan ({before or 'of another version'}), which differs from "
            f"{plan.plan_id} in what shapes the weights; name another `output_dir`, or remove that directory to start "
            "anew"
        )
