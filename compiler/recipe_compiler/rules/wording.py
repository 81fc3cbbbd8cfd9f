"""Sentences that several rules share."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from recipe_compiler.rules.rule import Facts
from recipe_compiler.settings import Resolved


if TYPE_CHECKING:  # plan and ledger cost more to load than a lint without data takes
    from recipe_schema.ledger import ClipRow


SHOWN = 3
PROMPT, LIBRARY = "validation.prompt", "validation.prompt_library"


def reasons(rows: "Sequence[ClipRow]") -> str:
    """Name the first few files that were left out, each with its reason."""
    shown = "; ".join(f"{row.path}: {row.reason}" for row in rows[:SHOWN])
    rest = len(rows) - SHOWN
    return shown + (f"; and {rest} more" if rest > 0 else "")


def unread_lists(facts: Facts, table: str) -> str:
    """Say that captions may stand in a list that nobody reads; empty if there is none."""
    assert facts.survey is not None
    if table not in facts.survey.with_lists:
        return ""
    return "the folder has a `videos.txt`: say `caption_strategy: lists` if a list of prompts belongs to it"


def counted(number: float, thing: str) -> str:
    """Count things: ``1 step``, ``3 steps``; a mean has at most two digits after the point."""
    return f"{round(number, 2)} {thing}{'s' * (number != 1)}"


def part_of(number: int, total: int, things: str, verb: str) -> str:
    """Say of how many of all things something is true, as in ``1 of 4 clips of data set `a` has``.

    Args:
        number: Of how many it is true.
        total: All of them.
        things: What they are, as in ``clips of data set `a```.
        verb: What follows: ``have`` or ``are``, which becomes ``has`` or ``is`` for one.
    """
    return f"{number} of {total} {things} {({'have': 'has', 'are': 'is'}[verb]) if number == 1 else verb}"


def with_clips(facts: Facts) -> Iterator[str]:
    """Yield the data sets of which something is used. Of the others, one finding says that nothing is."""
    assert facts.survey is not None
    for table in facts.survey.looked:
        if any(row.used for row in facts.survey.of(facts.settings[f"{table}.id"])):
            yield table


def lacks_captions(facts: Facts, table: str) -> bool:
    """Say whether clips of a data set wait for a caption, so that its samples can't be counted yet."""
    assert facts.survey is not None
    rows = facts.survey.of(facts.settings[f"{table}.id"])
    return facts.settings["data.on_missing_caption"] == "error" and any(row.fate == "missing-caption" for row in rows)


def draws_clips(settings: Resolved) -> bool:
    """Say whether there is a prompt, so that clips are drawn at the end at least."""
    return bool((settings[PROMPT] or "").strip()) or bool(settings[LIBRARY])
