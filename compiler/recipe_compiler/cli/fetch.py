"""``recipe fetch``: the data folders that a recipe names and that are not there yet, and with ``--weights`` its models."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from recipe_compiler.cli.findings import compile_from, print_findings
from recipe_compiler.data.facts import Survey
from recipe_compiler.fetch.data_set import fetch_data_set
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
            if not settings.in_use(table):
                continue
            if settings[f"{table}.instance_data_dir"] is None or _is_unclear(settings, table, survey):
                print(f"{settings[f'{table}.id']}: `recipe lint` says what is wrong with it", file=sys.stderr)
                status = Exit.FAILED
                continue
            folder = Path(os.path.normpath(each.root / settings[f"{table}.instance_data_dir"]))
            if folder not in done:
                done.add(folder)
                status = max(status, _fetch(settings, table, each.root, folder, survey))
        if options.weights:
            status = max(status, _fetch_models(settings, each.root))
    return status


def _fetch_models(settings: Resolved, root: Path) -> Exit:
    from recipe_compiler.fetch.weights import fetch_weights

    try:
        fetch_weights(settings, root, _report)
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return Exit.FAILED
    return Exit.OK


def _is_unclear(settings: Resolved, table: str, survey: Survey) -> bool:
    """Say whether it is not known what to fetch."""
    return settings[f"{table}.type"] != "local" and table not in survey.looked


def _fetch(settings: Resolved, table: str, root: Path, folder: Path, survey: Survey) -> Exit:
    """Fetch the folder of one data set, if it is missing."""
    name, source, missing = settings[f"{table}.id"], settings[f"{table}.source"], survey.missing.get(table)
    if settings[f"{table}.type"] != "local":
        return _tell(name, folder, lambda: fetch_data_set(settings, table, root, folder, _report))
    if missing is None:
        print(f"{name}: {folder} is there")
        return Exit.OK
    if source is None:
        print(f"{name}: {missing} is missing, and the recipe gives no `source` for it", file=sys.stderr)
        return Exit.FAILED
    return _tell(name, missing, lambda: fetch_source(source, missing, _report))


def _tell(name: str, folder: Path, fetch: Callable[[], None]) -> Exit:
    """Fetch a folder and say how it went."""
    try:
        fetch()
    except FetchError as error:
        print(f"error: {name}: {error}", file=sys.stderr)
        return Exit.FAILED
    print(f"{name}: {folder} is complete")
    return Exit.OK


def _report(line: str) -> None:
    print(line, file=sys.stderr)
