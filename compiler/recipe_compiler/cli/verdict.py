"""What a check of a plan found, in words."""

from collections.abc import Sequence

from recipe_compiler.data.verify import Verified
from recipe_compiler.diagnostics.diagnostic import Diagnostic


SHOWN = 8
"""Findings that are named; the rest are counted."""


def verdict(name: str, verified: Verified) -> str:
    """Say what is wrong with a plan.

    Args:
        name: What people called the plan.
        verified: With findings.
    """
    found = verified.found
    if verified.plan is None:
        return f"{_line(found[0])}; see `recipe explain {found[0].code}`"
    lines = [f"{name} can't be run any more; {_counted(found)}"]
    lines += [f"  {_line(one)}" for one in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"  and {len(found) - SHOWN} more")
    codes = ", ".join(f"`recipe explain {code}`" for code in sorted({one.code for one in found}))
    return "\n".join([*lines, f"  put back what it was made from, or make it anew with `recipe plan`; see {codes}"])


def _line(one: Diagnostic) -> str:
    return f"{one.message} [{one.code} {one.name}]"


def _counted(found: Sequence[Diagnostic]) -> str:
    return (
        "1 thing changed since it was made:" if len(found) == 1 else f"{len(found)} things changed since it was made:"
    )
