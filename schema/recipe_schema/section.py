"""Sections of the recipe language: frozen records that cost nothing to declare.

A dataclass writes and compiles its methods when its class is made. For the sections of the language that would be a
tenth of the time of a whole lint, in which none of them is ever built.
"""

from collections.abc import Mapping
from typing import Any, TypeVar, dataclass_transform

from recipe_schema.marks import Key, key


_T = TypeVar("_T", bound=type)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(key,))
def section(cls: _T) -> _T:
    """Make a class a section: its annotated names become the keys of a frozen record with keyword arguments."""
    cls.__init__ = _init  # type: ignore[misc]
    cls.__setattr__ = cls.__delattr__ = _refuse  # type: ignore[method-assign,assignment]
    cls.__eq__ = _equal  # type: ignore[method-assign,assignment]
    cls.__hash__ = _hash  # type: ignore[method-assign,assignment]
    cls.__repr__ = _show  # type: ignore[method-assign,assignment]
    return cls


def keys_of(cls: type) -> Mapping[str, Key | None]:
    """Return the names of a section's keys, each with what is known of it; None for a section inside."""
    return {name: cls.__dict__.get(name) for name in cls.__annotations__}


def is_section(hint: Any) -> bool:
    """Say whether a type is a section."""
    return isinstance(hint, type) and hint.__dict__.get("__init__") is _init


def _init(self: Any, **values: Any) -> None:
    wanted = type(self).__annotations__
    if values.keys() != wanted.keys():
        names = ", ".join(sorted(values.keys() ^ wanted.keys()))
        raise TypeError(f"{type(self).__name__} takes {', '.join(wanted)}; missing or unknown: {names}")
    self.__dict__.update(values)


def _refuse(self: Any, name: str, value: Any = None) -> None:
    del value
    raise AttributeError(f"{type(self).__name__}.{name} can't be changed: settings are frozen")


def _equal(self: Any, other: object) -> bool:
    return type(self) is type(other) and self.__dict__ == other.__dict__


def _hash(self: Any) -> int:
    return hash((type(self), *map(str, self.__dict__.values())))


def _show(self: Any) -> str:
    inside = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
    return f"{type(self).__name__}({inside})"
