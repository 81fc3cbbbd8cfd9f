"""Sections of the recipe language: records whose fields are keys."""

from collections.abc import Mapping
from typing import Any, TypeVar, dataclass_transform

from recipe_schema.marks import Key, key
from recipe_schema.record import fields_of, fill, freeze


_T = TypeVar("_T", bound=type)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(key,))
def section(cls: _T) -> _T:
    """Make a class a section: its annotated names become the keys of a frozen record with keyword arguments."""
    freeze(cls)
    cls.__init__ = _init  # type: ignore[misc]
    cls.__hash__ = _hash  # type: ignore[method-assign,assignment]
    return cls


def keys_of(cls: type) -> Mapping[str, Key | None]:
    """Return the names of a section's keys, each with what is known of it; None for a section inside."""
    return {name: cls.__dict__.get(name) for name in cls.__annotations__}


def is_section(hint: Any) -> bool:
    """Say whether a type is a section."""
    return isinstance(hint, type) and hint.__dict__.get("__init__") is _init


def _init(self: Any, **values: Any) -> None:
    fill(self, values)  # a key's default is no default here: settings read back from a plan have to be complete


def _hash(self: Any) -> int:
    return hash((type(self), *map(str, fields_of(self).values())))  # a setting may be a mapping
