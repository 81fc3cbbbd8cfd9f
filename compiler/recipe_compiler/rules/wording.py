"""Sentences that several rules share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING


if TYPE_CHECKING:  # plan and ledger cost more to load than a lint without data takes
    from recipe_schema.ledger import ClipRow


SHOWN = 3


def reasons(rows: "Sequence[ClipRow]") -> str:
    """Name the first few files that were left out, each with its reason."""
    shown = "; ".join(f"{row.path}: {row.reason}" for row in rows[:SHOWN])
    rest = len(rows) - SHOWN
    return shown + (f"; and {rest} more" if rest > 0 else "")
