"""``recipe fetch``: the data folders that a recipe names and that are not there yet."""

import argparse
import os
import sys
from pathlib import Path

from recipe_compiler.cli.findings import compile_from, print_findings
from recipe_compiler.fetch.fetch import FetchError, fetch_source
from recipe_compiler.settings import Resolved
from recipe_schema.exits import Exit


def run(options: argparse.Namespace) -> int:
    """Fetch what is missing, for all variants of a recipe."""
    compiled = compile_from(options, options.file, must_run=False, all_variants=True)
    status, done = Exit.OK, set[Path]()
    for each in compiled.variants or (compiled,):
        settings, survey = each.settings, each.survey
        if settings is None or survey is None:
            print_findings(compiled, sys.stderr)
            return Exit.FINDINGS
        for table in settings.tables("data.datasets"):
            folder = Path(os.path.normpath(each.root / settings[f"{table}.instance_data_dir"]))
            if folder not in done:
                done.add(folder)
                status = max(status, _fetch(settings, table, folder, survey.missing.get(table)))
    return status


def _fetch(settings: Resolved, table: str, folder: Path, missing: Path | None) -> Exit:
    """Fetch the folder of one data set, if it is missing."""
    name, source = settings[f"{table}.id"], settings[f"{table}.source"]
    if missing is None:
        print(f"{name}: {folder} is there")
        return Exit.OK
    if source is None:
        print(f"{name}: {missing} is missing, and the recipe gives no `source` for it", file=sys.stderr)
        return Exit.FAILED
    try:
        fetch_source(source, missing, lambda line: print(line, file=sys.stderr))
    except FetchError as error:
        print(f"error: {name}: {error}", file=sys.stderr)
        return Exit.FAILED
    print(f"{name}: {missing} is complete")
    return Exit.OK
