"""Keys of SimpleTuner that mean nothing here, or nothing yet: people bring them along, and should learn why."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipe_compiler.syntax.tree import Path as TreePath


_FILE = Path(__file__).with_name("foreign_keys.json")


def renamed(name: str) -> str | None:
    """Return the key that an old name of SimpleTuner stands for."""
    return old_names().get(name)


def old_names() -> Mapping[str, str]:
    """Return the old names of SimpleTuner, each with the key that it stands for."""
    old: Mapping[str, str] = _table()["renamed"]
    return old


def why_not(name: str, path: TreePath) -> str | None:
    """Say why a key of SimpleTuner is not taken; None if it is none.

    Args:
        name: The key.
        path: Where it stands.
    """
    for group in _table()["dataset" if path[:2] == ("data", "datasets") else "flat"]:
        if name in group["names"]:
            return f"SimpleTuner's `{name}` is not taken here: {group['reason']}"
    if name in _table()["others"]:
        return f"SimpleTuner's `{name}` is for other models, or without a counterpart here; leave it out"
    return None


def is_idle(name: str, path: TreePath) -> bool:
    """Say whether a key of SimpleTuner changes nothing in what is trained, so that nothing is lost without it.

    Args:
        name: The key.
        path: Where it stands.
    """
    groups = _table()["dataset" if path[:2] == ("data", "datasets") else "flat"]
    return any(name in group["names"] for group in groups if "idle" in group)


def known_names() -> frozenset[str]:
    """Return the flat keys of SimpleTuner that have no counterpart, or had another name."""
    table = _table()
    return frozenset(
        (*table["renamed"], *table["others"], *(name for group in table["flat"] for name in group["names"]))
    )


@functools.cache
def _table() -> Mapping[str, Any]:
    """Read the names. Only a recipe with an unknown key pays for it."""
    table: Mapping[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return table
