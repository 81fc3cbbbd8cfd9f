"""Variants: a ``matrix`` makes several recipes of one."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from recipe_compiler.diagnostics.codes import MATRIX, TEMPLATE
from recipe_compiler.diagnostics.diagnostic import Diagnostic, Note
from recipe_compiler.passes.variant_id import value_text, variant_ids
from recipe_compiler.settings import Resolved
from recipe_compiler.source import Span
from recipe_compiler.suggest import near
from recipe_compiler.syntax.errors import BROKEN
from recipe_compiler.syntax.tree import ListNode, MapNode, Node, Scalar, ScalarNode, walk
from recipe_schema.jsonschema import MATRIX_RULES
from recipe_schema.record import record


MAX_VARIANTS = 256

Cell = dict[str, ScalarNode]
"""The value of each axis in one variant."""


@record
class Variant:
    """One recipe out of a matrix.

    Attributes:
        id: Its name, safe as a file name.
        values: The value of each axis.
    """

    id: str
    values: Mapping[str, Scalar]


@record
class Matrix:
    """What a ``matrix`` comes to.

    Attributes:
        variants: The variants; empty for a recipe without a matrix, or if nothing of it is right.
        broken: The axes that have no values because something is wrong with them.
        found: What is wrong.
    """

    variants: tuple[Variant, ...] = ()
    broken: Mapping[str, Any] = MappingProxyType({})
    found: tuple[Diagnostic, ...] = ()


class VariantError(Exception):
    """A recipe has variants and none was chosen, or one was chosen that it does not have."""


def choose(variants: Sequence[Variant], wanted: str | None) -> Sequence[Variant]:
    """Return the variants that are wanted.

    Args:
        variants: All that there are.
        wanted: The id of one; None for all.

    Raises:
        VariantError: There is no such variant.
    """
    ids = [variant.id for variant in variants]
    if wanted is None:
        return variants
    if not ids:
        raise VariantError(f"the recipe has no variant `{wanted}`, as it has no matrix")
    if wanted not in ids:
        meant = near(wanted, ids)
        hint = f" Did you mean `{meant}`?" if meant is not None else ""
        raise VariantError(f"the recipe has no variant `{wanted}`.{hint} It has\n{listed(ids)}")
    return [variants[ids.index(wanted)]]


def listed(ids: Sequence[str]) -> str:
    """Write ids one below the other."""
    return "\n".join(f"  {name}" for name in ids)


def one_folder_each(variants: Sequence[Resolved | None]) -> Sequence[Sequence[Diagnostic]]:
    """Find variants that would write to the same run directory. Returns the findings of each variant."""
    folders = [settings["output_dir"] if settings is not None else None for settings in variants]
    found: list[Sequence[Diagnostic]] = []
    for settings, folder in zip(variants, folders, strict=True):
        count = folders.count(folder)
        if settings is None or count == 1 or not settings.fine("output_dir"):
            found.append(())
            continue
        message = f"{count} variants would write to `{folder}`"
        advice = "put `{{ recipe.variant }}` into it, or leave it out"
        found.append((MATRIX.at(settings.span("output_dir"), message, pointer="output_dir", help=advice),))
    return found


def read_matrix(tree: MapNode) -> Matrix:
    """Make the variants of a recipe. What has not even the right form is left to validation."""
    if "matrix" not in tree.entries or not isinstance(tree.entries["matrix"].node, MapNode):
        return Matrix()
    reader = _Reader(tree.entries["matrix"].node)
    cells = [{name: node.value for name, node in cell.items()} for cell in reader.cells()]
    reader.report_unused(tree)
    return Matrix(
        variants=tuple(Variant(id=i, values=cell) for i, cell in zip(variant_ids(cells), cells, strict=True)),
        broken=dict.fromkeys(reader.broken, BROKEN),
        found=tuple(reader.found),
    )


class _Reader:
    def __init__(self, matrix: MapNode) -> None:
        self.matrix = matrix
        self.found: list[Diagnostic] = []
        self.broken: set[str] = set()
        self.axes: dict[str, list[ScalarNode]] = {}
        self.spans: dict[str, Span] = {}

    def cells(self) -> Sequence[Cell]:
        """Return the values of every variant."""
        self._read_axes()
        cells = {_key(cell): cell for cell in self._without(self._grid())}
        for node in self._maps("include"):
            if not self.axes and not self.broken:  # a matrix may hold nothing else
                self.spans = self.spans or {name: entry.key_span for name, entry in node.entries.items()}
            if self._is_complete(node):
                key = _key(cell := _cell(node))
                if key in cells:
                    self._report(_start(node), "this variant is there already", "leave it out", "matrix.include")
                cells[key] = cell
        if len(cells) > MAX_VARIANTS:
            self._too_many(len(cells))
            return ()
        if not cells and not self.found and not self.broken and not self.matrix.entries.keys() - {"zip"}:
            self._report(self.matrix.span, "the matrix has no axis", "give one, as in `seed: [1, 2]`")
        return tuple(cells.values())

    def report_unused(self, tree: MapNode) -> None:
        """Find axes that no template names: their variants would all be the same."""
        places = (place.node for path, place in walk(tree) if path[:1] != ("matrix",))
        texts = [n.value for n in places if isinstance(n, ScalarNode) and isinstance(n.value, str) and "{{" in n.value]
        for name, span in self.spans.items():
            use = re.compile(rf"\bmatrix\s*(\.\s*{name}\b|\[\s*['\"]{name}['\"])")
            if name not in self.broken and not any(use.search(text) for text in texts):
                advice = f'write "{{{{ matrix.{name} }}}}" where the value belongs'
                self._report(span, f"nothing uses `matrix.{name}`", advice, f"matrix.{name}")

    # Axes

    def _read_axes(self) -> None:
        for name, entry in self.matrix.entries.items():
            if name in MATRIX_RULES:
                continue
            items = entry.node.items if isinstance(entry.node, ListNode) else ()
            values = [item for item in items if self._is_value(item) and isinstance(item, ScalarNode)]
            if len(values) < max(len(items), 1) or not name.isidentifier():
                self.broken.add(name)
            else:
                self.axes[name] = self._distinct(name, values)
                self.spans[name] = entry.key_span

    def _is_value(self, node: Node) -> bool:
        if isinstance(node, ScalarNode) and isinstance(node.value, str) and "{{" in node.value:
            advice = "the matrix is read before templates: write values"
            self.found.append(TEMPLATE.at(node.span, "a matrix can't hold templates", pointer="matrix", help=advice))
            return False
        return isinstance(node, ScalarNode)

    def _distinct(self, name: str, values: Sequence[ScalarNode]) -> list[ScalarNode]:
        first: dict[str, ScalarNode] = {}
        for value in values:
            twin = first.setdefault(value_text(value.value), value)
            if twin is not value:
                message = f"`{name}` has the value `{value_text(value.value)}` twice"
                self._report(
                    value.span, message, "leave one out", f"matrix.{name}", Note(twin.span, "first given here")
                )
        return list(first.values())

    def _grid(self) -> Sequence[Cell]:
        """Return every combination of the axes, those that are zipped taken together."""
        zipped = list(self._zipped())
        together = {name for group in zipped for name in group}
        groups = [*zipped, *((name,) for name in self.axes if name not in together)]
        columns = [
            [dict(zip(group, row, strict=True)) for row in zip(*(self.axes[name] for name in group), strict=True)]
            for group in groups
        ]
        count = math.prod(len(column) for column in columns)
        if count > MAX_VARIANTS:
            self._too_many(count)
            self.broken.update(self.axes)
            return ()
        return [{k: v for part in row for k, v in part.items()} for row in itertools.product(*columns) if row]

    # Zip

    def _zipped(self) -> Iterator[tuple[str, ...]]:
        taken: set[str] = set()
        for span, names in self._zip_groups():
            axes: list[str] = []
            for name in names:
                if str(name.value) in taken:
                    self._report(name.span, f"`{name.value}` is zipped twice", "name it once", "matrix.zip")
                elif self._is_axis(str(name.value), name.span, "zip"):
                    axes.append(str(name.value))
                    taken.add(str(name.value))
            if len(axes) == len(names) and self._are_as_long(axes, span):
                yield tuple(axes)

    def _zip_groups(self) -> Iterator[tuple[Span, list[ScalarNode]]]:
        """Yield the groups of ``zip: [[a, b], [c, d]]``, or the one of ``zip: [a, b]``."""
        node = self.matrix.entries["zip"].node if "zip" in self.matrix.entries else None
        items = node.items if isinstance(node, ListNode) else ()
        flat = _texts(items)
        if node is not None and flat:
            yield node.span, flat
        for item in items:
            if isinstance(item, ListNode):
                yield item.span, _texts(item.items)

    def _are_as_long(self, axes: Sequence[str], span: Span) -> bool:
        lengths = {name: len(self.axes[name]) for name in axes}
        if len(set(lengths.values())) <= 1:
            return bool(axes)
        counts = ", ".join(f"`{name}` has {count}" for name, count in lengths.items())
        notes = [Note(self.spans[name], f"{count} values") for name, count in lengths.items()]
        message = f"zipped axes need equally many values: {counts}"
        self._report(span, message, "zip takes the first of each, then the second of each, …", "matrix.zip", *notes)
        for name in axes:
            self.broken.add(name)
            del self.axes[name]
        return False

    # Include and exclude

    def _maps(self, rule: str) -> Iterator[MapNode]:
        node = self.matrix.entries[rule].node if rule in self.matrix.entries else None
        for item in node.items if isinstance(node, ListNode) else ():
            values = [entry.node for entry in item.entries.values()] if isinstance(item, MapNode) else []
            if isinstance(item, MapNode) and values and all([self._is_value(value) for value in values]):  # noqa: C419
                yield item

    def _without(self, grid: Sequence[Cell]) -> Sequence[Cell]:
        for node in self._maps("exclude"):
            if not all([self._is_axis(name, e.key_span, "exclude") for name, e in node.entries.items()]):  # noqa: C419
                continue
            rest = [cell for cell in grid if not _cell_matches(cell, node)]
            if grid and len(rest) == len(grid):
                self._report(_start(node), "this excludes nothing", "name values that the axes have", "matrix.exclude")
            elif grid and not rest:
                self._report(_start(node), "no variant is left", "exclude fewer", "matrix.exclude")
            grid = rest
        return grid

    def _is_complete(self, node: MapNode) -> bool:
        """Say whether an included variant gives every axis and nothing else."""
        unknown = [name for name in node.entries if name not in self.spans]
        missing = [name for name in self.spans if name not in node.entries]
        for name in unknown:
            if not self.broken:
                self._is_axis(name, node.entries[name].key_span, "include")
        if missing and not unknown and not self.broken:
            message = f"an included variant gives every axis; `{'`, `'.join(missing)}` is missing"
            self._report(_start(node), message, "add it here", "matrix.include")
        return not unknown and not missing

    # Findings

    def _is_axis(self, name: str, span: Span, rule: str) -> bool:
        if name in self.axes or name in self.broken:
            return name in self.axes
        meant = near(name, self.spans)
        advice = f"did you mean `{meant}`?" if meant else f"the axes are {', '.join(self.spans) or 'missing'}"
        self._report(span, f"`{name}` in `matrix.{rule}` is no axis", advice, f"matrix.{rule}")
        return False

    def _too_many(self, count: int) -> None:
        message = f"the matrix has {count:,} variants, more than {MAX_VARIANTS}"
        self._report(_start(self.matrix), message, "take fewer values, or zip axes that vary together")

    def _report(self, span: Span, message: str, advice: str, pointer: str = "matrix", *notes: Note) -> None:
        self.found.append(MATRIX.at(span, message, pointer=pointer, help=advice, notes=notes))


def _start(node: MapNode) -> Span:
    return next((entry.key_span for entry in node.entries.values()), node.span)


def _texts(nodes: Sequence[Node]) -> list[ScalarNode]:
    return [node for node in nodes if isinstance(node, ScalarNode) and isinstance(node.value, str)]


def _cell(node: MapNode) -> Cell:
    return {name: entry.node for name, entry in node.entries.items() if isinstance(entry.node, ScalarNode)}


def _cell_matches(cell: Cell, pattern: MapNode) -> bool:
    return all(value_text(cell[k].value) == value_text(v.value) for k, v in _cell(pattern).items())


def _key(cell: Cell) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value_text(value.value)) for name, value in cell.items()))
