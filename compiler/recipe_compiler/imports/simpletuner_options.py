"""The options of SimpleTuner, by the names that it has today."""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recipe_compiler.imports.given import Given
from recipe_compiler.passes.foreign import known_names, old_names, renamed
from recipe_schema.definition import Leaf, leaf_index, leaves


IN_DATA_SETS = "data.datasets.*."


@functools.cache
def flat_options() -> Mapping[str, Leaf]:
    """Return the keys that have a counterpart here, by their flat names."""
    named = [leaf for leaf in leaves() if leaf.key.aka is not None]
    in_order = sorted(named, key=lambda leaf: not leaf.path.startswith(IN_DATA_SETS))
    older = {name: leaf_index()[path] for name, path in old_names().items()}
    return {name: leaf for name, leaf in older.items() if leaf.key.aka is None} | {
        str(leaf.key.aka): leaf for leaf in in_order
    }


@functools.cache
def all_options() -> frozenset[str]:
    """Return every flat name that is known."""
    return frozenset((*flat_options(), *known_names()))


def canonical(name: str) -> str:
    """Return the name that an option has today. A unique beginning of a name is taken for it, as there."""
    path = renamed(name)
    if path is not None:
        return leaf_index()[path].key.aka or name
    if name in all_options():
        return name
    meant = [other for other in all_options() if other.startswith(name)] if name else []
    return meant[0] if len(meant) == 1 else name


class Options:
    """What a configuration gives, by option."""

    def __init__(self, given: Mapping[str, Sequence[Given]]) -> None:
        self._given = given

    def __iter__(self) -> Iterator[tuple[str, Sequence[Given]]]:
        """Yield each option with its keys; there are several if its value is a mapping."""
        yield from self._given.items()

    def given(self, name: str) -> Given | None:
        """Return the key of an option; None if it is not given, or null."""
        found = self._given.get(name)
        return found[0] if found is not None and found[0].value is not None else None

    def value(self, name: str, usual: Any = None) -> Any:
        """Return the value of an option, or what it is if it is not given."""
        given = self.given(name)
        return usual if given is None else given.value

    def number(self, name: str, usual: float = 0) -> float:
        """Return the number that an option has; the usual one if it has none."""
        try:
            found = float(self.value(name, usual))
        except (TypeError, ValueError):
            return usual
        return found if math.isfinite(found) else usual

    def is_on(self, name: str, *, usual: bool = False) -> bool:
        """Say whether an option is true, as a word or a text."""
        return str(self.value(name, usual)).strip().lower() in ("true", "1")
