"""``recipe fetch``: the data folders that a recipe names and that are not there yet."""

import argparse
import sys

from recipe_compiler.cli.findings import compile_from, print_findings
from recipe_compiler.fetch.fetch import FetchError, fetch_source
from recipe_schema.exits import Exit


def run(options: argparse.Namespace) -> int:
    """Fetch what is missing."""
    compiled = compile_from(options, options.file, must_run=False)
    settings, survey = compiled.settings, compiled.survey
    if settings is None or survey is None:
        print_findings(compiled, sys.stderr)
        return Exit.FINDINGS
    status = Exit.OK
    for table in settings.tables("data.datasets"):
        name, source = settings[f"{table}.id"], settings[f"{table}.source"]
        folder = survey.missing.get(table)
        if folder is None:
            print(f"{name}: {compiled.root / settings[f'{table}.instance_data_dir']} is there")
        elif source is None:
            print(f"{name}: {folder} is missing, and the recipe gives no `source` for it", file=sys.stderr)
            status = Exit.FAILED
        else:
            try:
                fetch_source(source, folder, lambda line: print(line, file=sys.stderr))
            except FetchError as error:
                print(f"error: {name}: {error}", file=sys.stderr)
                status = Exit.FAILED
            else:
                print(f"{name}: {folder} is complete")
    return status
