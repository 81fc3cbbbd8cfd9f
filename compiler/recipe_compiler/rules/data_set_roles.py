"""Which data sets are trained, which are measured, and which hold masks."""

from recipe_compiler.settings import Resolved


TRAINED = ("video", "image")
ROLE_KEYS = ("data.datasets.*.id", "data.datasets.*.dataset_type", "data.datasets.*.disabled")
"""What a rule reads that asks here."""


def in_role(settings: Resolved, *types: str) -> tuple[str, ...]:
    """Return the data sets in use that have one of these types, as in ``data.datasets.0``."""
    return tuple(
        table
        for table in settings.tables("data.datasets")
        if settings.in_use(table) and settings[f"{table}.dataset_type"] in types
    )


def ids(settings: Resolved, tables: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids of data sets."""
    return tuple(settings[f"{table}.id"] for table in tables)
