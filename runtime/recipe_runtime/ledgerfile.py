"""Reads a plan's ledger from Parquet. Its columns are those of `recipe_schema.ledger`."""

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from recipe_runtime.errors import PlanRefused
from recipe_schema.ledger import COLUMNS, ClipRow
from recipe_schema.planfile import LEDGER_FILE


_AT_ONCE = 10_000
"""Rows that are held twice while they are read."""


def read_ledger(plan_dir: Path) -> tuple[ClipRow, ...]:
    """Read all rows of a plan's ledger, in the order of the file.

    Raises:
        PlanRefused: There is no ledger, or it is not one.
    """
    path = plan_dir / LEDGER_FILE
    names = [name for name, _ in COLUMNS]
    try:
        table = parquet.read_table(path)
    except FileNotFoundError:
        raise PlanRefused(f"{path} does not exist; make the plan anew with `recipe plan RECIPE`") from None
    except (pa.ArrowException, OSError) as error:
        raise PlanRefused(f"{path} is not a ledger ({error}); make the plan anew with `recipe plan RECIPE`") from error
    if sorted(table.column_names) != sorted(names):
        raise PlanRefused(
            f"{path} has the columns {', '.join(table.column_names)} where this tool reads {', '.join(names)}; "
            "make the plan anew with `recipe plan RECIPE`"
        )
    return tuple(
        ClipRow(**dict(zip(names, values, strict=True)))
        for batch in table.select(names).to_batches(max_chunksize=_AT_ONCE)
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True)
    )
