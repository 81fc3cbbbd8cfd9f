"""The header of a recipe: the keys that are used up before there are settings.

A misspelt one is put right before anything else is read. Otherwise all that rests on it would seem to be missing.
"""

from recipe_compiler.diagnostics.codes import UNKNOWN_KEY
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.suggest import clear, near
from recipe_compiler.syntax.rewrite import new_key
from recipe_compiler.syntax.tree import MapNode
from recipe_schema.definition import definition


HEADER = ("recipe", "extends", "vars", "env", "matrix")
"""The keys of the header."""


def right_header(root: MapNode, found: list[Diagnostic]) -> MapNode:
    """Read misspelt keys of the header as those that are meant.

    Args:
        root: A recipe as it was read.
        found: Collects what is wrong.
    """
    known = (*HEADER, *definition().children)
    renamed: dict[str, str] = {}
    for name in root.entries:
        free = [other for other in known if other not in root.entries and other not in renamed.values()]
        meant = near(name, free) if name not in known else None
        if meant in HEADER:
            renamed[name] = meant
            span = root.entries[name].key_span
            found.append(
                UNKNOWN_KEY.at(
                    span,
                    f"unknown key `{name}` at the top level",
                    pointer=name,
                    help=f"did you mean `{meant}`?",
                    fix=new_key(span, name, meant),
                    safe=clear(name, meant, free),
                )
            )
    if not renamed:
        return root
    entries = {renamed.get(name, name): entry for name, entry in root.entries.items()}
    return MapNode(entries=entries, span=root.span)
