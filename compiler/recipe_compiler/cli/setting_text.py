"""Settings and origins in words, the same wherever they are shown."""

from collections.abc import Mapping
from typing import Any

from recipe_compiler.subject import Record, Stated


IMPACTS = {
    "result": "shapes the trained weights: part of the plan id",
    "runtime": "may differ when a run is resumed",
    "cosmetic": "a name, without effect on the run",
}


def origin_text(origin: Record) -> str:
    """Say where a value came from, in a few words."""
    detail = origin.get("detail", "")
    words = {
        "template": f"template {detail} at ",
        "default": "default",
        "family": f"family default of {detail}",
        "derived": f"derived: {detail}",
    }
    place = f"{origin['file']}:{origin['line']}:{origin['column']}" if "file" in origin else ""
    if detail and origin["kind"] in ("recipe", "fragment", "override"):
        return f"{place}, {detail}"
    return words.get(origin["kind"], "") + place


def value_text(stated: Stated) -> str:
    """Write a value, with its unit."""
    unit = stated.leaf.key.unit if stated.leaf is not None else None
    if unit and stated.value == 1 and unit != "fps":
        unit = unit.removesuffix("s")
    return plain(stated.value) + (f" {unit}" if unit and stated.value is not None else "")


def value_or_dash(stated: Stated | None) -> str:
    """Write a value, or a dash for a setting that is not there."""
    return "–" if stated is None else plain(stated.value)


def plain(value: Any) -> str:
    """Write a value as people do."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value) or "[]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {plain(item)}" for name, item in value.items()) + "}"
    return str(value) if value != "" else '""'
