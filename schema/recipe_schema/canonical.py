"""Canonical JSON (RFC 8785) and the digests made of it: equal values give equal bytes, everywhere."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any


_LARGEST_EXACT = 2**53 - 1
_ENCODER = json.JSONEncoder(ensure_ascii=False)


def canonical_json(value: Any) -> str:
    """Write a JSON value in the one form that RFC 8785 allows.

    Args:
        value: Mappings with text keys, lists, tuples, texts, numbers, booleans, None.

    Raises:
        ValueError: A number is not finite, an integer is beyond 2**53 - 1, or a text holds a lone surrogate.
        TypeError: Something that JSON does not have.
    """
    if isinstance(value, str):  # what there is most of comes first: ledgers have millions of texts and numbers
        return _text(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([canonical_json(v) for v in value]) + "]"
    if isinstance(value, Mapping):
        items = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be"))
        return "{" + ",".join(f"{_text(k)}:{canonical_json(v)}" for k, v in items) + "}"
    raise TypeError(f"not JSON: {type(value).__name__}")


def digest(value: Any) -> str:
    """Return ``sha256:`` and the hexadecimal SHA-256 of a value's canonical JSON in UTF-8."""
    return "sha256:" + hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _text(value: str) -> str:
    value.encode()  # a lone surrogate is a ValueError here, and nowhere later
    return _ENCODER.encode(value)


def _number(value: float) -> str:
    """Format a number as ECMAScript does (RFC 8785, section 3.2.2.3)."""
    if isinstance(value, int):
        if abs(value) > _LARGEST_EXACT:
            raise ValueError(f"{value} is beyond 2**53 - 1 and would change in other JSON readers")
        return str(value)
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON number")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return sign + _place(digits, point)


def _place(digits: str, point: int) -> str:
    """Write ``0.digits × 10**point`` the way ECMAScript's Number::toString does."""
    count = len(digits)
    if count <= point <= 21:  # noqa: PLR2004 - the bounds 21 and -6 are ECMAScript's
        return digits + "0" * (point - count)
    if 0 < point <= 21:  # noqa: PLR2004
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:  # noqa: PLR2004
        return "0." + "0" * -point + digits
    exponent = f"{point - 1:+d}"
    return (digits if count == 1 else f"{digits[0]}.{digits[1:]}") + f"e{exponent}"
