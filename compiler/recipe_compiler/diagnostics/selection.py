"""Which findings are shown: ``--select`` and ``--ignore``, by code or by the first part of one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.suggest import near


class SelectionError(ValueError):
    """Something was asked for that is the beginning of no code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Beginnings of codes. The longest one that fits a code decides; of two alike, ``ignore`` does.

    Attributes:
        select: Only these are shown; empty for all.
        ignore: These are not.
    """

    select: Sequence[str] = ()
    ignore: Sequence[str] = ()

    def shows(self, finding: Diagnostic) -> bool:
        """Say whether a finding is to be shown."""
        wanted = 0 if not self.select else _longest(finding.code, self.select)
        return wanted > _longest(finding.code, self.ignore)


def _longest(code: str, beginnings: Iterable[str]) -> int:
    return max((len(part) for part in beginnings if code.startswith(part)), default=-1)


def parse_selection(select: Sequence[str], ignore: Sequence[str], known: dict[str, str]) -> Selection:
    """Read the arguments of the command line.

    Args:
        select: Arguments of ``--select``, each with one or more codes between commas.
        ignore: The same of ``--ignore``.
        known: The name of every code.

    Raises:
        SelectionError: One is the beginning of no code. The message suggests one.
    """
    return Selection(select=_beginnings("--select", select, known), ignore=_beginnings("--ignore", ignore, known))


def _beginnings(option: str, arguments: Sequence[str], known: dict[str, str]) -> tuple[str, ...]:
    parts = tuple(part.strip().upper() for argument in arguments for part in argument.split(","))
    for part in parts:
        if part and any(code.startswith(part) for code in known):
            continue
        codes = {name: code for code, name in known.items()}
        meant = near(part.lower(), codes)
        advice = codes[meant] if meant is not None else near(part, known)
        hint = f"did you mean {advice}?" if advice is not None else "give a code such as R405, or its beginning"
        raise SelectionError(f"{option}: `{part}` begins no code; {hint}")
    return parts
