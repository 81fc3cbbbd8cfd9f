"""``recipe plan``: freeze a recipe, and say what it will do and cost."""

import argparse
import sys
from pathlib import Path
from typing import Any

from recipe_compiler.cli.clear_away import clear_away
from recipe_compiler.cli.errors import UsageError
from recipe_compiler.cli.findings import compile_from, print_findings, print_for_machines, print_json
from recipe_compiler.cli.plan_text import plan_text
from recipe_compiler.cli.verdict import verdict
from recipe_compiler.data.verify import verify
from recipe_compiler.diagnostics.render_json import FORMAT_VERSION, to_json
from recipe_compiler.passes.freeze import write
from recipe_compiler.pipeline import Compiled, make_plan
from recipe_schema.exits import Exit
from recipe_schema.plan import Plan


def run(options: argparse.Namespace) -> int:
    """Write the plan of one recipe, or check one that was written before."""
    if options.verify:
        return _verify(options)
    compiled = compile_from(options, options.file, must_run=True, all_variants=True)
    if options.format == "text":
        print_findings(compiled, sys.stderr)
    elif options.format == "github":
        print_for_machines(compiled.found, options.format)
    if not compiled.ok:
        if options.format == "json":
            print_json(to_json(compiled.found))
        return Exit.FINDINGS
    if compiled.variants:
        return _each(compiled, options)
    folder = Path(options.output) if options.output else compiled.path.parent / plan_name(compiled)
    plan = _write(compiled, folder)
    if options.format == "json":
        print_json({**to_json(compiled.found), "format_version": FORMAT_VERSION, **_record(compiled, plan, folder)})
    else:
        print(plan_text(plan))
        print(f"\nwritten to {folder}; execute it with `recipe run {folder}`")
    return Exit.OK


def _each(compiled: Compiled, options: argparse.Namespace) -> int:
    """Write the plan of every variant, all into one folder."""
    above = Path(options.output) if options.output else compiled.path.parent
    records: list[dict[str, Any]] = []
    for variant in compiled.variants:
        folder = above / plan_name(variant)
        plan = _write(variant, folder)
        records.append(_record(variant, plan, folder))
        if options.format != "json":
            print(f"{folder}  {plan.plan_id[:19]}  {plan.body.schedule.max_steps:,} steps")
    if options.format == "json":
        print_json({**to_json(compiled.found), "format_version": FORMAT_VERSION, "plans": records})
    else:
        print(f"\n{len(records)} plans; execute one with `recipe run PLAN`, look at one with `recipe explain PLAN`")
    return Exit.OK


def _write(compiled: Compiled, folder: Path) -> Plan:
    assert compiled.survey is not None
    plan = make_plan(compiled)
    clear_away(compiled)
    write(plan, compiled.survey.rows, folder)
    return plan


def _record(compiled: Compiled, plan: Plan, folder: Path) -> dict[str, Any]:
    return {
        **({"variant": compiled.variant.id} if compiled.variant is not None else {}),
        "plan_id": plan.plan_id,
        "path": str(folder),
        "buckets": {bucket.name: bucket.samples for bucket in plan.body.buckets},
        "max_steps": plan.body.schedule.max_steps,
        "clips": plan.meta["clips"],
        "estimate": plan.meta["estimate"],
        "stages": {stage.id: stage.key for stage in plan.body.stages},
    }


def plan_name(compiled: Compiled) -> str:
    """Name the folder of a plan: ``NAME.plan``, or ``NAME.ID.plan`` for a variant."""
    assert compiled.settings is not None
    name = str(compiled.settings["name"])
    if compiled.variant is None:
        return f"{name}.plan"
    return f"{name.removesuffix(compiled.variant.id).rstrip('-.') or 'recipe'}.{compiled.variant.id}.plan"


def _verify(options: argparse.Namespace) -> int:
    """Say whether a plan and its clips are what they were when it was made."""
    if options.overlay or options.set or options.variant:
        raise UsageError("a plan is frozen, so -f, --set and --variant don't go with --verify")
    verified = verify(Path(options.file))
    if options.format == "json":
        print_json(to_json(verified.found))
    elif verified.found:
        print(f"error: {verdict(options.file, verified)}", file=sys.stderr)
    else:
        assert verified.rows is not None
        count = sum(row.fate == "trained" for row in verified.rows)
        print(f"{options.file}: as it was made, and so are its {count:,} clips")
    return Exit.REFUSED if verified.found else Exit.OK
