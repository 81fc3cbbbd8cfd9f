"""``recipe lint``: findings, and nothing else."""

import argparse
import sys

from recipe_compiler.cli.findings import compile_from, print_findings, print_json
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.diagnostics.render_json import to_json
from recipe_schema.exits import Exit


def run(options: argparse.Namespace) -> int:
    """Check every file, and report all findings."""
    found: list[Diagnostic] = []
    for file in options.files:
        compiled = compile_from(options, file, must_run=False, look=not options.no_data)
        found += compiled.found
        if options.format == "text":
            print_findings(compiled, sys.stdout)
            if not compiled.found:
                print(f"{file}: no findings")
    if options.format == "json":
        print_json(to_json(found))
    bad = [d for d in found if d.severity == "error" or options.strict]
    return Exit.FINDINGS if bad else Exit.OK
