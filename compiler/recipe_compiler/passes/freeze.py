"""Freeze: a body becomes a plan on disk, with its id and everything that people want to know about it."""

import datetime as dt
import hashlib
import platform
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recipe_compiler import __version__
from recipe_compiler.data.course import count_windows
from recipe_compiler.data.facts import Survey
from recipe_compiler.settings import Resolved
from recipe_compiler.source import Source
from recipe_schema.files import write_atomically
from recipe_schema.ledger import COLUMNS, FATES, ClipRow, to_columns
from recipe_schema.plan import Body, Execution, Plan
from recipe_schema.planfile import LEDGER_FILE, plan_id, write_plan


_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64()}


def freeze(body: Body, execution: Execution, meta: dict[str, Any]) -> Plan:
    """Give a body its id."""
    return Plan(plan_id=plan_id(body), body=body, execution=execution, meta=meta)


def meta(settings: Resolved, survey: Survey, sources: Sequence[Source], estimate: dict[str, Any]) -> dict[str, Any]:
    """Collect what people want to know, and what is not hashed."""
    files = [(source.name, hashlib.sha256(source.text.encode()).hexdigest()) for source in sources]
    files += [(str(file), sha256) for file, sha256 in survey.tables.items()]
    return {
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "tool": {"name": "sana-recipes", "version": __version__},
        "python": platform.python_version(),
        "sources": [{"name": name, "sha256": sha256} for name, sha256 in files],
        "origins": {path: setting.origin.record() for path, setting in settings.settings.items()},
        "ignored": {
            path: {"value": setting.value, "reason": setting.ignored}
            for path, setting in settings.settings.items()
            if setting.ignored is not None
        },
        "clips": fate_counts(survey.rows),
        "windows": dict(count_windows(settings.values(), survey.rows)),
        "estimate": estimate,
    }


def fate_counts(rows: Sequence[ClipRow]) -> dict[str, int]:
    """Count the files of each fate; fates without any are left out."""
    counts = Counter(row.fate for row in rows)
    return {fate: counts[fate] for fate in FATES if counts[fate]}


def write(plan: Plan, rows: Sequence[ClipRow], folder: Path) -> None:
    """Write ledger and plan into a folder; the plan comes last, so that a plan always has its ledger."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([(name, _ARROW[kind]) for name, kind in COLUMNS])
    table = pa.Table.from_pydict(to_columns(rows), schema=schema)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            pq.write_table(table, file, compression="zstd")
            file.seek(0)
            write_atomically(folder / LEDGER_FILE, file.read())
    except OSError as error:
        error.filename = error.filename or str(folder / LEDGER_FILE)  # a full disk does not say whose it is
        raise
    write_plan(plan, folder)
