"""The recipe language as a tree, read from the classes of `recipe_schema.recipe`.

`definition()` returns the root `Section`. Everything that is derived from the language (JSON Schema, reference
page, defaults, decoding) walks this tree and never the classes themselves.
"""

import functools
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from recipe_schema.marks import Ge, Gt, Key, Le, Lt, OneOrMany, OrFile, Pattern
from recipe_schema.recipe import Settings
from recipe_schema.record import record, replace
from recipe_schema.section import is_section, keys_of


Kind = Literal["boolean", "integer", "number", "string"]
"""The scalar types of the language, by their JSON Schema names."""

_KINDS: Mapping[type, Kind] = {bool: "boolean", int: "integer", float: "number", str: "string"}


@record
class Spec:
    """The type of a leaf: a scalar, or a list or map of scalars, with its limits."""

    kind: Kind
    container: Literal["list", "map"] | None = None
    nullable: bool = False
    one_or_many: bool = False
    or_file: bool = False
    choices: tuple[str, ...] = ()
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    pattern: Pattern | None = None
    key_pattern: Pattern | None = None

    @property
    def element(self) -> "Spec":
        """The type of one value of a list or map."""
        return replace(self, container=None, nullable=False, one_or_many=False, or_file=False, key_pattern=None)

    def words(self) -> str:
        """Say the type for people, as in ``an integer, at least 1``."""
        if self.choices:
            text = "one of " + ", ".join(self.choices)
        else:
            text = {"boolean": "true or false", "integer": "a whole number", "number": "a number", "string": "a text"}[
                self.kind
            ]
        limits = (("at least", self.ge), ("more than", self.gt), ("at most", self.le), ("less than", self.lt))
        text += "".join(f", {word} {number_text(limit)}" for word, limit in limits if limit is not None)
        if self.pattern is not None:
            text += f" ({self.pattern.meaning})"
        if self.container is not None:
            text = f"{text}, or a list of such" if self.one_or_many else f"a {self.container}, each value {text}"
        return text + (", or a path" if self.or_file else "") + (", or null" if self.nullable else "")


@record
class Leaf:
    """A key with a value. ``path`` is dotted; an element of a table is written ``*``."""

    path: str
    key: Key
    spec: Spec


@record
class Section:
    """A mapping of keys."""

    path: str
    doc: str
    children: Mapping[str, "Leaf | Section | Table"]


@record
class Table:
    """A list of sections, such as ``data.datasets``."""

    path: str
    key: Key
    item: Section


def number_text(number: float) -> str:
    """Write a number as short as it is exact."""
    return str(int(number)) if number == int(number) else repr(number)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _spec(hint: Any) -> Spec:
    """Read a type hint of a leaf."""
    origin = get_origin(hint)
    if origin is Annotated:
        base, *marks = get_args(hint)
        return _with_marks(_spec(base), marks)
    if origin in (Union, types.UnionType):
        (inner,) = (a for a in get_args(hint) if a is not type(None))
        return replace(_spec(inner), nullable=True)
    if origin is Literal:
        return Spec(kind="string", choices=get_args(hint))
    if origin is tuple:
        return replace(_spec(get_args(hint)[0]), container="list")
    if origin is Mapping:
        names, values = get_args(hint)
        return replace(_spec(values), container="map", key_pattern=_spec(names).pattern)
    return Spec(kind=_KINDS[hint])


def _with_marks(spec: Spec, marks: list[Any]) -> Spec:
    changes: dict[str, Any] = {}
    for mark in marks:
        match mark:
            case Ge(limit):
                changes["ge"] = limit
            case Gt(limit):
                changes["gt"] = limit
            case Le(limit):
                changes["le"] = limit
            case Lt(limit):
                changes["lt"] = limit
            case Pattern():
                changes["pattern"] = mark
            case OneOrMany():
                changes["one_or_many"] = True
            case OrFile():
                changes["or_file"] = True
            case _:
                raise TypeError(f"unknown mark {mark!r}")
    return replace(spec, **changes)


def _section(cls: type, path: str) -> Section:
    children: dict[str, Leaf | Section | Table] = {}
    for name, key in keys_of(cls).items():
        hint, where = cls.__annotations__[name], _join(path, name)
        if key is None:
            children[name] = _section(hint, where)
        elif isinstance(hint, types.GenericAlias) and is_section(get_args(hint)[0]):
            children[name] = Table(path=where, key=key, item=_section(get_args(hint)[0], f"{where}.*"))
        else:
            children[name] = Leaf(path=where, key=key, spec=_spec(hint))
    return Section(path=path, doc=(cls.__doc__ or "").strip(), children=children)


@functools.cache
def definition() -> Section:
    """Return the root section of the language, version `recipe_schema.recipe.LANGUAGE_VERSION`."""
    return _section(Settings, "")


def leaves(node: "Leaf | Section | Table | None" = None) -> Iterator[Leaf]:
    """Yield every leaf below ``node`` (default: of the whole language), in the order of the definition."""
    node = node if node is not None else definition()
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Table):
        yield from leaves(node.item)
    else:
        for child in node.children.values():
            yield from leaves(child)


def generic(path: str) -> str:
    """Turn the path of a setting into that of its leaf: ``data.datasets.0.id`` → ``data.datasets.*.id``."""
    return ".".join("*" if part.isdigit() else part for part in path.split("."))


@functools.cache
def leaf_index() -> Mapping[str, Leaf]:
    """Return every leaf by its path."""
    return {leaf.path: leaf for leaf in leaves()}
