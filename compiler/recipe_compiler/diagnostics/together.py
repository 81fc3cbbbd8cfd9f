"""Findings of several variants as one list: what they share is said once."""

from collections.abc import Mapping, Sequence

from recipe_compiler.diagnostics.diagnostic import Diagnostic, in_order
from recipe_compiler.source import Source
from recipe_schema.record import replace


_NAMED = 3


def together(found: Mapping[str, Sequence[Diagnostic]], sources: Sequence[Source]) -> tuple[Diagnostic, ...]:
    """Merge findings. One that only some variants have names them in its help.

    Args:
        found: The findings of each variant, by its id.
        sources: Everything that was read, in order.
    """
    seen: dict[tuple[str, str, str], list[str]] = {}
    first: dict[tuple[str, str, str], Diagnostic] = {}
    for variant, diagnostics in found.items():
        for diagnostic in diagnostics:
            key = diagnostic.code, str(diagnostic.span), diagnostic.message
            first.setdefault(key, diagnostic)
            seen.setdefault(key, []).append(variant)
    return in_order((_one(first[key], variants, len(found)) for key, variants in seen.items()), sources)


def _one(diagnostic: Diagnostic, variants: Sequence[str], count: int) -> Diagnostic:
    if len(variants) == count:
        return diagnostic
    named = ", ".join(variants[:_NAMED])
    rest = f" and {len(variants) - _NAMED} more" if len(variants) > _NAMED else ""
    where = f"in {'variant' if len(variants) == 1 else 'variants'} {named}{rest}"
    return replace(diagnostic, help=f"{diagnostic.help}; {where}" if diagnostic.help else where)
