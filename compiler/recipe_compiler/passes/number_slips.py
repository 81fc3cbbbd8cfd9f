"""What may be meant by a number that is out of range, or by a text that is nearly a number."""

import math
import re

from recipe_compiler.syntax.tree import Node, ScalarNode
from recipe_schema.definition import Leaf, number_text


_DIGITS = r"[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?"
_NUMBER = re.compile(rf"{_DIGITS}\Z")
_TAIL = re.compile(rf"({_DIGITS}) ?([^\s0-9.,eE+-].*)\Z", re.DOTALL)
_COMMA = re.compile(r"([-+]?[0-9]+),([0-9]+)\Z")
_EXPONENT = re.compile(r"([0-9.]+)[eE]\+?0*([1-9][0-9]*)\Z")
_TYPESET = str.maketrans({"\u2212": "-", "\u2013": "-", " ": None})
_MULTIPLES = {"k": 1000, "K": 1000, "M": 10**6, "%": 0.01}
_PERCENT = 100
_OPERATORS = "*/^"
_SUM = re.compile(rf"{_DIGITS}(?: ?[*/] ?{_DIGITS})+\Z")
_POWER = re.compile(r"(?:([0-9.]+) ?[*x] ?)?10(?:\^|\*\*)(-?[0-9]{1,3})\Z")


def slip(node: Node, leaf: Leaf | None) -> str:
    """Suggest what fits where a number is too large: ``4e-07`` for ``4e07``, and 0.1 for 10 where a share is meant.

    Args:
        node: The number.
        leaf: The key that it was written for, if there is one.
    """
    if not isinstance(node, ScalarNode) or leaf is None or leaf.spec.kind != "number":
        return ""
    match, spec, value = _EXPONENT.match(node.raw), leaf.spec, node.value
    if match is not None:
        meant = f"{match[1]}e-{match[2]:0>2}"
        return f"did you mean `{meant}`?" if (spec.lt or spec.le) == 1 and float(meant) < 1 else ""
    if (spec.ge, spec.le) == (0, 1) and isinstance(value, int | float) and 1 < value <= _PERCENT:
        return f"it is a share of 1: {value:g} % is `{value / _PERCENT:g}`"
    return ""


def number_inside(text: str, *, whole: bool) -> str:
    """Find the number in a text that is nearly one: ``0,0001``, ``5e-5x``, ``10k``, ``3 e-5``.

    Args:
        text: What was written.
        whole: A whole number is wanted.

    Returns:
        What to write in its place, as a sentence for people; empty if that is not clear.
    """
    plain = text.translate(_TYPESET)
    if plain != text and _NUMBER.match(plain):
        return f"write `{plain}`, without spaces and with the minus sign of the keyboard"
    if match := _COMMA.match(text):
        thousands = len(match[2]) == 3  # noqa: PLR2004
        if whole:
            return f"write `{match[1]}{match[2]}`, without a comma" if thousands else "write a whole number"
        other = f" or `{match[1]}{match[2]}`" if thousands and match[1] != "0" else ""
        return f"write `{match[1]}.{match[2]}`{other}: decimals follow a point"
    match = _TAIL.match(text)
    if match is None or match[2][0] in _OPERATORS:
        return _power(text, whole=whole)
    number = float(match[1]) * _MULTIPLES.get(match[2], 1)
    if not math.isfinite(number) or (whole and number != int(number)):
        return ""
    shown = number_text(round(number, 12)) if match[2] in _MULTIPLES else match[1]
    return f"did you mean `{shown}`? `{match[2][:20]}` is no part of a number"


def _power(text: str, *, whole: bool) -> str:
    """Write a power of ten as a number: ``5*10^-5`` is 5e-5. Other sums are for templates."""
    match = _POWER.match(text)
    if match is not None:
        return "" if whole and int(match[2]) < 0 else f"write `{match[1] or 1}e{match[2]}`"
    return f'to calculate, write a template: `"{{{{ {text} }}}}"`' if _SUM.match(text) else ""
