"""Which clips are measured and not trained: those of data sets for it, and a share of the others."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from recipe_compiler.data.windows import in_the_middle
from recipe_compiler.settings import Resolved
from recipe_schema.ledger import ClipRow


FRACTION = "evaluation.fraction"


def set_apart(rows: Sequence[ClipRow], settings: Resolved, table: str) -> tuple[ClipRow, ...]:
    """Take clips out of training that are to be measured.

    With ``evaluation.fraction`` a clip's bytes alone decide: the same clips are set apart in every run and on every
    machine, also when others are added, and copies of a clip are never on both sides, nor are its windows.

    Args:
        rows: The rows of a data set.
        settings: Resolved settings.
        table: The data set.
    """
    if settings[f"{table}.dataset_type"] == "eval":
        return tuple(_measured(row, "the data set is for measuring") for row in rows)
    fraction: float | None = settings[FRACTION]
    if fraction is None:
        return tuple(rows)
    reason = f"set apart for measuring: {FRACTION} is {fraction:g}"
    return tuple(_measured(row, reason) if _lot(row) < fraction else row for row in rows)


def _measured(row: ClipRow, reason: str) -> ClipRow:
    if row.fate != "trained":
        return row
    return replace(in_the_middle(row) if row.drawn else row, fate="evaluated", reason=reason)


def _lot(row: ClipRow) -> float:
    """Return a number from 0 to 1 that belongs to a clip's bytes."""
    drawn = hashlib.sha256(f"evaluation/{row.sha256}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") / 2**64
