"""Reads the ledger of a plan from Parquet. Its columns are those of `recipe_schema.ledger`."""

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from recipe_schema.ledger import COLUMNS, ClipRow
from recipe_schema.planfile import LEDGER_FILE, PlanError


_ANEW = "make the plan anew with `recipe plan RECIPE`"

_AT_ONCE = 10_000
"""Rows that are held twice while they are read."""


def read_ledger(folder: Path) -> tuple[ClipRow, ...]:
    """Read all rows of a plan's ledger.

    Args:
        folder: The plan.

    Raises:
        PlanError: There is no ledger, or it is not one.
    """
    path = folder / LEDGER_FILE
    names = [name for name, _ in COLUMNS]
    try:
        table = parquet.read_table(path)
    except FileNotFoundError:
        raise PlanError(f"{path} does not exist; {_ANEW}") from None
    except (pa.ArrowException, OSError) as error:
        raise PlanError(f"{path} is not a ledger ({error}); {_ANEW}") from None
    if sorted(table.column_names) != sorted(names):
        raise PlanError(
            f"{path} has the columns {', '.join(table.column_names)} where this tool reads {', '.join(names)}; {_ANEW}"
        )
    return tuple(
        ClipRow(**dict(zip(names, values, strict=True)))
        for batch in table.select(names).to_batches(max_chunksize=_AT_ONCE)
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True)
    )
