"""What became of every key, for people and for machines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recipe_compiler.imports.draft import Draft, Row


_LONGEST = 48
"""Characters of a value that are shown to people."""


def report_text(draft: Draft) -> str:
    """Tell people, file by file, in the order of lines."""
    lines: list[str] = []
    for file in dict.fromkeys(row.file for row in draft.rows):
        rows = sorted((row for row in draft.rows if row.file == file), key=lambda row: row.line)
        lines += [file, *_table(rows), ""]
    if draft.warnings:
        lines += ["to know:", *(f"  - {warning}" for warning in draft.warnings), ""]
    lines.append(counted(draft.counts()))
    return "\n".join(lines)


def counted(counts: Mapping[Any, int]) -> str:
    """Say how many keys have each fate: ``31 mapped, 8 changed``."""
    return ", ".join(f"{count} {fate}" for fate, count in counts.items() if count) or "nothing"


def report_json(draft: Draft) -> dict[str, Any]:
    """Return the same for machines."""
    return {
        "keys": [row._asdict() for row in draft.rows],
        "warnings": list(draft.warnings),
        "counts": dict(draft.counts()),
    }


def _table(rows: Sequence[Row]) -> Iterator[str]:
    left = [f"{row.key} = {_short(row.value)}" for row in rows]
    number, fate = max(len(str(row.line)) for row in rows), max(len(row.fate) for row in rows)
    width = min(max(map(len, left)), _LONGEST)
    before = ""
    for row, given in zip(rows, left, strict=True):
        right = (
            " → " + row.target + (f": {_short(row.written)}" if row.written is not None else "") if row.target else ""
        )
        reason = "" if not row.reason else "  (the same)" if row.reason == before else f"  ({row.reason})"
        before = row.reason
        yield f"  {row.line:>{number}}  {row.fate:<{fate}}  {given:<{width}}{right}{reason}".rstrip()


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
