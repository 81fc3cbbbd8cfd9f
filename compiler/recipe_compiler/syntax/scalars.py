"""Plain scalars by the core rules of YAML 1.2: ``no`` is a text, ``1e-4`` a number, ``12:30`` a text."""

import math
import re

from recipe_compiler.syntax.errors import NumberError
from recipe_compiler.syntax.tree import Scalar


LARGEST_INTEGER = 2**53 - 1
"""Beyond this, JSON readers disagree about an integer."""

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_BASED = r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z"
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = frozenset(
    (".nan", ".NaN", ".NAN", *(sign + word for sign in ("", "-", "+") for word in (".inf", ".Inf", ".INF")))
)


def plain_value(text: str) -> Scalar:
    """Return the value of an unquoted scalar.

    Raises:
        NumberError: It is a number, and not finite or too large.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        # A number of 10 million digits would take seconds to convert, and is out of range in any case.
        return _in_range(text, int(text) if len(text) <= 32 else LARGEST_INTEGER + 1)  # noqa: PLR2004
    if text.startswith("0") and re.match(_BASED, text):
        return _in_range(text, int(text, 0) if len(text) <= 32 else LARGEST_INTEGER + 1)  # noqa: PLR2004
    if _FLOAT.match(text):
        number = float(text)
        if math.isfinite(number):
            return number
        raise NumberError(f"`{_short(text)}` is too large for a number")
    if text in _NOT_FINITE:
        raise NumberError(f"`{text}` is not a finite number")
    return text


def _in_range(text: str, number: int) -> int:
    if abs(number) > LARGEST_INTEGER:
        raise NumberError(f"`{_short(text)}` is beyond {LARGEST_INTEGER}")
    return number


def _short(text: str) -> str:
    return text if len(text) <= 24 else text[:20] + "…"  # noqa: PLR2004
