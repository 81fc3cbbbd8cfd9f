"""Resolved settings: each value with where it came from and what it replaced."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Literal

from recipe_compiler.source import Span
from recipe_compiler.syntax.tree import Path
from recipe_schema.definition import Leaf, generic
from recipe_schema.family import FamilyFacts
from recipe_schema.record import record


OriginKind = Literal["recipe", "fragment", "override", "template", "default", "family", "derived"]


CACHES = ("text_embeds", "image_embeds")
"""Types of data sets that name caches in SimpleTuner and hold no clips."""


@record
class Origin:
    """Where a value came from.

    Attributes:
        kind: The recipe itself, a fragment or overlay, ``--set``, a template, the language's default, the model
            family's, or other settings.
        span: Where it is written; None for defaults and derived values.
        detail: The template, the formula, or the family's name.
    """

    kind: OriginKind
    span: Span | None = None
    detail: str = ""

    def record(self) -> dict[str, Any]:
        """Return the origin as JSON values, the way a plan keeps it."""
        record: dict[str, Any] = {"kind": self.kind}
        if self.span is not None:
            record |= {"file": self.span.source.name, "line": self.span.line, "column": self.span.column}
        if self.detail:
            record["detail"] = self.detail
        return record


@record
class Setting:
    """One resolved setting.

    Attributes:
        path: Its path, as in ``data.datasets.0.id``.
        leaf: What the language says of it.
        value: Its value.
        origin: Where the value came from.
        shadowed: What it replaced, nearest first.
        ignored: Why it is never applied; None if it is.
    """

    path: str
    leaf: Leaf
    value: Any
    origin: Origin
    shadowed: tuple[tuple[Any, Origin], ...] = ()
    ignored: str | None = None

    @property
    def given(self) -> bool:
        """Somebody wrote it, or something that it was computed from."""
        return self.origin.span is not None


@record
class Resolved:
    """All settings of a recipe.

    Attributes:
        settings: Every setting by its path, in the order of the definition.
        places: Where each key and section stands, for those that the recipe has.
        bad: Paths whose value is wrong or missing; something was said about each.
        family: The model family.
        start: The start of the recipe, for findings about what is not there.
    """

    settings: Mapping[str, Setting]
    places: Mapping[str, Span]
    bad: frozenset[str]
    family: FamilyFacts
    start: Span

    @cached_property
    def _tables(self) -> Mapping[str, tuple[str, ...]]:
        """The elements of every table."""
        found: dict[str, dict[str, None]] = {}
        for path in self.settings:
            parts = path.split(".")
            for place, part in enumerate(parts):
                if part.isdigit():
                    found.setdefault(".".join(parts[:place]), {})[".".join(parts[: place + 1])] = None
        return {table: tuple(elements) for table, elements in found.items()}

    @cached_property
    def _tainted(self) -> frozenset[str]:
        """Whatever holds something bad."""
        parts = [path.split(".") for path in self.bad]
        return frozenset(".".join(path[:end]) for path in parts for end in range(1, len(path) + 1))

    @cached_property
    def mentioned(self) -> frozenset[str]:
        """The keys and sections that the recipe has, by their paths in the definition."""
        return frozenset(map(generic, self.places))

    def __getitem__(self, path: str) -> Any:
        """Return the value of a setting."""
        return self.settings[path].value

    def given(self, path: str) -> bool:
        """Say whether somebody wrote this setting."""
        return self.settings[path].given

    def fine(self, *paths: str) -> bool:
        """Say whether nothing is wrong with these settings, or with what holds them."""
        return not any(path in self._tainted or any(above in self.bad for above in _above(path)) for path in paths)

    def in_use(self, table: str) -> bool:
        """Say whether a data set has clips: it is not disabled, and no cache of SimpleTuner's."""
        return not self[f"{table}.disabled"] and self[f"{table}.dataset_type"] not in CACHES

    def tables(self, path: str) -> tuple[str, ...]:
        """Return the paths of the elements of a table: ``data.datasets`` → ``("data.datasets.0", …)``."""
        return self._tables.get(path, ())

    def span(self, path: str) -> Span:
        """Return the place of a setting, or of the nearest section that holds it."""
        while path:
            if path in self.places:
                return self.places[path]
            path = path.rpartition(".")[0]
        return self.start

    def values(self) -> dict[str, Any]:
        """Return all values by path."""
        return {path: setting.value for path, setting in self.settings.items()}


def text_paths(paths: frozenset[Path]) -> frozenset[str]:
    """Write tree paths as people do."""
    return frozenset(".".join(str(part) for part in path) for path in paths)


def _above(path: str) -> Iterator[str]:
    """Yield the sections that hold a path, nearest first."""
    while path := path.rpartition(".")[0]:
        yield path
