"""What a run's plan says of it, for pages: names, settings with their origins, data, and what it was estimated to cost."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recipe_runtime.watch.tracker import config_of
from recipe_schema.plan import Plan
from recipe_schema.planfile import PlanError, read_plan


PLAN_FOLDER = "plan"


def plan_of(run_dir: Path) -> Plan | None:
    """Return the plan of a run; None where there is none that this version reads."""
    try:
        return read_plan(run_dir / PLAN_FOLDER)
    except (PlanError, OSError):
        return None


def facts_of_run(run_dir: Path) -> dict[str, Any] | None:
    """Return what pages tell of a run's plan; None where there is none that this version reads."""
    plan = plan_of(run_dir)
    try:
        return None if plan is None else facts_of(plan)
    except KeyError:  # it was made by a version that said other things of it
        return None


def facts_of(plan: Plan) -> dict[str, Any]:
    """Return what pages tell of a plan, as JSON. Addresses of webhooks are left out: they may be secret."""
    shown = config_of(plan)
    origins = plan.meta["origins"]
    schedule = plan.body.schedule
    return {
        "name": plan.name,
        "description": str(plan.execution.settings["description"]),
        "plan_id": plan.plan_id,
        "max_steps": schedule.max_steps,
        "samples_per_step": schedule.samples_per_step,
        "samples_per_epoch": schedule.samples_per_epoch,
        "clips": dict(plan.meta["clips"]),
        "buckets": [{"name": bucket.name, **asdict(bucket)} for bucket in plan.body.buckets],
        "estimate": dict(plan.meta["estimate"]),
        "prompts": [asdict(prompt) for prompt in plan.execution.prompts],
        "stages": [stage.id for stage in plan.body.stages],
        "settings": [
            {
                "path": path,
                "value": shown[path],
                "origin": origin_text(origins[path]),
                "chosen": origins[path]["kind"] != "default",
            }
            for path in sorted(plan.settings)
            if path in shown
        ],
        "tool": dict(plan.meta["tool"]),
        "python": plan.meta["python"],
        "created": plan.meta["created"],
    }


def origin_text(origin: Mapping[str, Any]) -> str:
    """Say where a value came from, in a few words."""
    place = f"{origin['file']}:{origin['line']}" if "file" in origin else ""
    words = " ".join(filter(None, (origin["kind"], str(origin.get("detail", "")))))
    return f"{place} ({words})" if place else words
