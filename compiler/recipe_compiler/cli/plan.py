"""``recipe plan``: freeze a recipe, and say what it will do and cost."""

import argparse
import sys
from pathlib import Path

from recipe_compiler.cli.findings import compile_from, print_findings, print_json
from recipe_compiler.cli.plan_text import plan_text
from recipe_compiler.diagnostics.render_json import FORMAT_VERSION, to_json
from recipe_compiler.passes.freeze import write
from recipe_compiler.pipeline import Compiled, make_plan
from recipe_schema.exits import Exit


def run(options: argparse.Namespace) -> int:
    """Write the plan of one recipe."""
    compiled = compile_from(options, options.file, must_run=True)
    if options.format == "text":
        print_findings(compiled, sys.stderr)
    if not compiled.ok:
        if options.format == "json":
            print_json(to_json(compiled.found))
        return Exit.FINDINGS
    assert compiled.survey is not None
    plan = make_plan(compiled)
    folder = Path(options.output) if options.output else _beside(compiled)
    write(plan, compiled.survey.rows, folder)
    if options.format == "json":
        print_json(
            {
                **to_json(compiled.found),
                "format_version": FORMAT_VERSION,
                "plan_id": plan.plan_id,
                "path": str(folder),
                "buckets": {bucket.name: bucket.samples for bucket in plan.body.buckets},
                "max_steps": plan.body.schedule.max_steps,
                "clips": plan.meta["clips"],
                "estimate": plan.meta["estimate"],
                "stages": {stage.id: stage.key for stage in plan.body.stages},
            }
        )
    else:
        print(plan_text(plan))
        print(f"\nwritten to {folder}; execute it with `recipe run {folder}`")
    return Exit.OK


def _beside(compiled: Compiled) -> Path:
    assert compiled.settings is not None
    return compiled.path.parent / f"{compiled.settings['name']}.plan"
