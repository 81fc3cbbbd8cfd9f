"""Texts of the definition as Markdown."""

import re
from collections.abc import Iterable, Sequence


_CODE_OR_MARK = re.compile(r"(`[^`]*`)|([*<|\[\]])")


def escaped(text: str) -> str:
    """Escape what Markdown would take for marks, outside of code spans; and bars everywhere, for tables."""
    return _CODE_OR_MARK.sub(lambda match: (match[1] or f"\\{match[2]}").replace("\\<", "&lt;"), text)


def cell(text: str) -> str:
    """Escape a text for a table, in which a bar inside of a code span counts, too."""
    return re.sub(r"(?<!\\)\|", r"\\|", escaped(text))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table. The cells are Markdown already."""
    return [_row(head), _row(["---"] * len(head)), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def document(lines: Iterable[str]) -> str:
    """Join lines, with a note at the top that the page is generated."""
    return "<!-- Written by `make docs`; edit the definition, not this page. -->\n\n" + "\n".join(lines).rstrip() + "\n"
