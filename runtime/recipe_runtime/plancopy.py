"""Keeps the plan in the run directory, and refuses a run directory that holds another plan's training."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from recipe_runtime.errors import PlanRefused, RunError
from recipe_schema.earlier import DATA, is_accepted, keep_earlier
from recipe_schema.files import write_atomically
from recipe_schema.plan import Body, Plan
from recipe_schema.planfile import LEDGER_FILE, PLAN_FILE, PlanError, read_plan


PLAN_FOLDER = "plan"
"""In a run directory: a copy of the plan that it executes."""

_NAMED = 8
"""Changed settings that a message names; the rest are counted."""


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
    before: Plan | None
    try:
        before = read_plan(target)
    except PlanError:
        # A copy of an older version, or half of one: nothing can go on from it, and it is replaced.
        before = None
    if not any((run_dir / "checkpoints").glob("step-*")) or (before is not None and before.plan_id == plan.plan_id):
        return
    if before is None:
        raise PlanRefused(
            f"{run_dir} holds checkpoints of another plan (of another version); name another `output_dir`, or remove "
            "that directory to start anew"
        )
    if _may_follow(before, plan):
        keep_earlier(run_dir, before.plan_id)
        return
    raise PlanRefused(
        f"{run_dir} holds checkpoints of another plan ({before.plan_id}). What shapes the weights has changed: "
        f"{_changes(before.body, plan.body)}. Undo that to resume, name another `output_dir` to train anew, go on from a "
        f"checkpoint there with `checkpoints.resume: {run_dir}`, or go on here by naming it in `checkpoints.accept_changes`"
    )


def _may_follow(before: Plan, now: Plan) -> bool:
    """Tell whether all that differs between two plans is accepted by the second."""
    accepted = tuple(now.settings["checkpoints.accept_changes"])
    old, new = before.body, now.body
    changed = [
        name
        for name in {*old.settings, *new.settings}
        if name not in old.settings or name not in new.settings or old.settings[name] != new.settings[name]
    ]
    clips = old.ledger_digest != new.ledger_digest
    if old.facts != new.facts or (clips and DATA not in accepted) or not (changed or clips):
        return False
    return all(is_accepted(name, accepted) for name in changed)


def _changes(before: Body, now: Body) -> str:
    """Name what differs between two plans."""
    old, new = before.settings, now.settings
    changed = [
        f"{name} ({_shown(old, name)} → {_shown(new, name)})"
        for name in dict.fromkeys([*old, *new])
        if name not in old or name not in new or old[name] != new[name]
    ]
    rest = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
    named = [", ".join(changed[:_NAMED]) + rest] if changed else []
    named += ["the clips or captions"] if before.ledger_digest != now.ledger_digest else []
    named += ["facts of the model family"] if before.facts != now.facts else []
    return ", ".join(named) or "the stages of the tool"


def _shown(settings: Mapping[str, Any], name: str) -> str:
    return json.dumps(settings[name], ensure_ascii=False) if name in settings else "not there"
