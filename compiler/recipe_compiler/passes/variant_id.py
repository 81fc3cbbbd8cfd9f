"""Ids of variants: names that people can read and file systems can hold, made of nothing but values."""

import re
from collections.abc import Mapping, Sequence

from recipe_compiler.syntax.tree import Scalar


LONGEST_ID = 40
"""Characters. With a recipe's name before it, it still is a name."""

_UNSAFE = r"[^A-Za-z0-9._]+"
_DIGEST = 6
_LARGEST_EXACT = 1e15


def variant_ids(cells: Sequence[Mapping[str, Scalar]]) -> list[str]:
    """Return an id for each variant, different even where cases are not told apart."""
    ids = [variant_id(cell) for cell in cells]
    folded = [name.lower() for name in ids]
    return [
        name if folded.count(name.lower()) == 1 else _with_digest(name, cell)
        for name, cell in zip(ids, cells, strict=True)
    ]


def variant_id(cell: Mapping[str, Scalar]) -> str:
    """Name a variant after its values, as in ``learning_rate-1e-4--seed-1``.

    The id is the same however numbers are written, and in whatever order the axes stand. Where characters had to be
    replaced, or the id was cut, it ends in a digest of the values.
    """
    safe = {axis: _safe(cell[axis]) for axis in sorted(cell)}
    name = "--".join(f"{axis}-{text}" for axis, text in safe.items())
    lossless = all(text == value_text(cell[axis]) for axis, text in safe.items())
    return name if lossless and len(name) <= LONGEST_ID else _with_digest(name, cell)


def _safe(value: Scalar) -> str:
    text = value_text(value)
    if isinstance(value, int | float) and not text.startswith("-"):
        return text
    parts = (part.strip(".") for part in re.split(_UNSAFE, text))
    return "-".join(part for part in parts if part) or "x"


def _with_digest(name: str, cell: Mapping[str, Scalar]) -> str:
    from recipe_schema.canonical import digest  # noqa: PLC0415 - hashing costs as much to load as reading a recipe

    own = digest(dict(cell)).partition(":")[2][:_DIGEST]
    return f"{name[: LONGEST_ID - _DIGEST - 1].rstrip('-._')}-{own}"


def value_text(value: Scalar) -> str:
    """Write a value in one way only: equal numbers alike, and as short as they are exact."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return _number(value) if isinstance(value, float) else str(value)


def _number(number: float) -> str:
    if number.is_integer() and abs(number) < _LARGEST_EXACT:
        return str(int(number))
    text = next(text for digits in range(17) if float(text := f"{number:.{digits}e}") == number)
    mantissa, _, exponent = text.partition("e")
    return min(repr(number), f"{mantissa}e{int(exponent)}", key=len)
