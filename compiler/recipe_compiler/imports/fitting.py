"""Whether a value of another trainer fits a key of the language."""

import re
from typing import Any

from recipe_compiler.syntax.errors import NumberError
from recipe_compiler.syntax.scalars import plain_value
from recipe_schema.definition import Leaf, Spec
from recipe_schema.marks import Pattern


_TYPES = {"boolean": bool, "integer": int, "number": (int, float), "string": str}


def coerced(value: Any, leaf: Leaf) -> Any:
    """Return a value in the type that its key takes, where no doubt is left: ``"16"`` is 16 for a number."""
    spec = leaf.spec
    if isinstance(value, list):
        return [_coerced(item, spec) for item in value]
    if isinstance(value, str) and spec.container == "list" and "," in value:
        return [_coerced(part.strip(), spec) for part in value.split(",")]
    return _coerced(value, spec)


def _coerced(value: Any, spec: Spec) -> Any:
    if isinstance(value, str) and spec.kind != "string":
        try:
            found = plain_value(value.strip())
        except NumberError:
            return value
        return value if isinstance(found, str) else found
    if isinstance(value, float) and spec.kind == "integer" and value.is_integer():
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and spec.kind == "string":
        return str(value)
    return value


def misfit(value: Any, leaf: Leaf) -> str | None:
    """Say why a key does not take a value; None if it does.

    Args:
        value: In the type that `coerced` gave it.
        leaf: The key.
    """
    refused = leaf.key.refused.get(value) if isinstance(value, str) else None
    return refused or (None if _fits(value, leaf.spec) else f"{leaf.spec.words()} is expected here")


def _fits(value: Any, spec: Spec) -> bool:
    if value is None:
        return spec.nullable
    if isinstance(value, list):
        return spec.container == "list" and all(_is_one(item, spec.element) for item in value)
    if isinstance(value, dict):
        return spec.container == "map" and all(
            _matches(name, spec.key_pattern) and _is_one(item, spec.element) for name, item in value.items()
        )
    return (spec.container is None or spec.one_or_many) and _is_one(value, spec)


def _is_one(value: Any, spec: Spec) -> bool:
    kind = _TYPES[spec.kind]
    if not isinstance(value, kind) or (isinstance(value, bool) and spec.kind != "boolean"):  # type: ignore[arg-type]
        return False
    if isinstance(value, str):
        return value in (spec.choices or (value,)) and _matches(value, spec.pattern)
    limits = (
        spec.ge is None or value >= spec.ge,
        spec.gt is None or value > spec.gt,
        spec.le is None or value <= spec.le,
        spec.lt is None or value < spec.lt,
    )
    return all(limits)


def _matches(text: str, pattern: Pattern | None) -> bool:
    return pattern is None or re.search(pattern.regex, text) is not None
