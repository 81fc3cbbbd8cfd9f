"""Machines to ask in place of the one that the tests run on."""

from pathlib import Path
from typing import Any

from recipe_compiler.machine import Machine


def machine(*, packages: dict[str, str] | None = None, free: int | None = 10**15, **more: Any) -> Machine:
    """Make a machine with these packages and so many free bytes, without variables, logins and checkpoints."""
    facts = {"environment": {}, "home": Path("/nonexistent"), "python": (3, 12), "used_bytes": lambda _: 0, **more}
    return Machine(version=(packages or {}).get, free_bytes=lambda _: free, **facts)


BARE = machine(free=50_000_000)
"""A machine on which nothing is installed, with room for a few small checkpoints."""
