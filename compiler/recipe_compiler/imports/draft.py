"""A recipe in the making: its settings, each with where it comes from, and what became of every key that was given."""

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from recipe_compiler.imports.fitting import coerced, misfit
from recipe_compiler.imports.given import Given
from recipe_schema.definition import generic, leaf_index


_SECRET = re.compile(r"secret|api_key|access_key|password|(auth|hub|session)_token")
"""What is in the name of a key whose value is not to be shown."""

Fate = Literal["mapped", "changed", "without effect", "unsupported"]
"""What becomes of a key. *mapped*: it means the same here. *changed*: it means something else there, or can't be had as it
is. *without effect*: nothing is lost without it. *unsupported*: something is."""


class Row(NamedTuple):
    """What became of one key.

    Attributes:
        file: The file that it stands in.
        line: Its line.
        key: Its path in the file.
        value: Its value.
        fate: What became of it.
        target: The setting of the recipe that it became; empty if there is none.
        written: The value of that setting.
        reason: Why, for all but what is mapped.
    """

    file: str
    line: int
    key: str
    value: Any
    fate: Fate
    target: str = ""
    written: Any = None
    reason: str = ""


class Written(NamedTuple):
    """A setting of the recipe.

    Attributes:
        value: Its value.
        origin: Where it comes from, as in ``config.json:12 train_batch_size``.
        reason: Why it is not what stands there; empty if it is.
    """

    value: Any
    origin: str
    reason: str = ""


class Draft:
    """Collects settings and what is to be told.

    Attributes:
        settings: The recipe, by path.
        rows: What became of each key, in the order in which keys were looked at.
        warnings: What people should know.
    """

    def __init__(self) -> None:
        self.settings: dict[str, Written] = {}
        self.rows: list[Row] = []
        self.warnings: list[str] = []

    def take(self, given: Given, path: str, *, note: str = "") -> None:
        """Take a key over as it is; tell if its value does not fit.

        Args:
            given: The key.
            path: The setting that it becomes.
            note: What else is to be said of it.
        """
        leaf = leaf_index()[generic(path)]
        value = coerced(given.value, leaf)
        wrong = misfit(value, leaf)
        if wrong is not None:
            self._row(given, "unsupported", path, None, wrong)
            return
        if given.written is not None:
            note = f"`{given.written}` is what its variable was when it was taken over"
        self._write(given, path, value, note)
        self._row(given, "changed" if given.written is not None else "mapped", path, value, note)

    def change(self, given: Given, path: str, value: Any, reason: str) -> None:
        """Take a key over with another value, or for another setting.

        Args:
            given: The key.
            path: The setting.
            value: Its value.
            reason: Why it is not what was given.
        """
        wrong = misfit(value, leaf_index()[generic(path)])
        if wrong is not None:
            self._row(given, "unsupported", path, None, f"{reason}; {wrong}")
            return
        self._write(given, path, value, reason)
        self._row(given, "changed", path, value, reason)

    def leave(self, given: Given, reason: str, *, lost: bool = False, target: str = "") -> None:
        """Leave a key out.

        Args:
            given: The key.
            reason: Why.
            lost: What is trained, or how, would be another with it.
            target: The setting that it would have become, or did become part of.
        """
        self._row(given, "unsupported" if lost else "without effect", target, None, reason)

    def merge(self, given: Given, target: str, reason: str, *, changed: bool = False) -> None:
        """Tell that a key became part of a setting that is written elsewhere."""
        self._row(given, "changed" if changed else "mapped", target, None, reason)

    def add(self, path: str, value: Any, origin: str, reason: str = "") -> None:
        """Write a setting that no key was given for."""
        self.settings.setdefault(path, Written(value, origin, reason))

    def drop(self, path: str) -> None:
        """Take a setting out again."""
        self.settings.pop(path, None)

    def warn(self, text: str) -> None:
        """Say what people should know."""
        if text not in self.warnings:
            self.warnings.append(text)

    def value(self, path: str, usual: Any = None) -> Any:
        """Return what is written for a setting, or what it usually is."""
        return self.settings[path].value if path in self.settings else usual

    def counts(self) -> Mapping[Fate, int]:
        """Return how many keys have each fate."""
        fates: tuple[Fate, ...] = ("mapped", "changed", "without effect", "unsupported")
        return {fate: sum(row.fate == fate for row in self.rows) for fate in fates}

    def _write(self, given: Given, path: str, value: Any, reason: str) -> None:
        self.settings[path] = Written(value, given.origin, reason)

    def _row(self, given: Given, fate: Fate, target: str, written: Any, reason: str) -> None:
        shown = given.value if given.written is None else given.written
        shown = "…" if shown and _SECRET.search(given.name) else shown
        place = (given.span.source.name, given.span.line)
        self.rows.append(Row(*place, given.name, shown, fate, target, written, reason))
