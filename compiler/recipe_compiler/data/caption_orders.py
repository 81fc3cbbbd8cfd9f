"""Captions of tags in other orders. Which ones follows from the seed and the caption alone."""

import math
import re
from collections import Counter
from typing import Literal, NamedTuple


class Shuffle(NamedTuple):
    """How captions are shuffled.

    Attributes:
        orders: Other orders of each caption.
        seed: Of the orders.
        split_on: What parts are separated by.
        position_start: So many parts at the beginning keep their place.
        include_original: Whether the caption stays as well.
    """

    orders: int
    seed: int
    split_on: Literal["comma", "space", "period"]
    position_start: int
    include_original: bool


# A period inside of a number or an abbreviation ends no part.
_BETWEEN = {"comma": re.compile(","), "space": re.compile(r"\s+"), "period": re.compile(r"\.(?:\s+|$)")}
_JOINED = {"comma": ", ", "space": " ", "period": ". "}


def other_orders(caption: str, shuffle: Shuffle) -> tuple[str, ...]:
    """Return a caption in other orders of its parts, no two alike, and before them the caption itself if it stays.

    Args:
        caption: The caption.
        shuffle: How it is shuffled. Where its parts have no more orders, there are fewer.
    """
    parts = [part.strip() for part in _BETWEEN[shuffle.split_on].split(caption) if part.strip()]
    head, tail = parts[: shuffle.position_start], parts[shuffle.position_start :]
    end = "." if shuffle.split_on == "period" and caption.rstrip().endswith(".") else ""
    found: dict[tuple[str, ...], None] = {}
    wanted, number = min(shuffle.orders, _orders(tail) - 1), 0
    while len(found) < wanted:
        order = _order(tail, f"{shuffle.seed}/{number}/{caption}")
        if order != tuple(tail):
            found[order] = None
        number += 1
    texts = tuple(_JOINED[shuffle.split_on].join((*head, *order)) + end for order in found)
    return (caption, *texts) if shuffle.include_original or not texts else texts


def _orders(parts: list[str]) -> int:
    """Count the different orders of parts, some of which may be equal."""
    return math.factorial(len(parts)) // math.prod(math.factorial(count) for count in Counter(parts).values())


def _order(parts: list[str], name: str) -> tuple[str, ...]:
    """Return the parts in an order that belongs to a name."""
    import hashlib  # noqa: PLC0415 - it loads OpenSSL, and a lint shuffles nothing

    def lot(index: int) -> bytes:
        return hashlib.sha256(f"{index}/{name}".encode()).digest()

    return tuple(parts[index] for index in sorted(range(len(parts)), key=lot))
