"""Records that cost next to nothing to declare: frozen, compared by value, built from keyword arguments.

A dataclass writes the source of its methods and compiles it, half a millisecond for each class. For the records that
every lint declares, and of most of which it builds a few, that would be a fifth of its time. The records here share
one set of methods. Use `typing.NamedTuple` where arguments have an order, and dataclasses where time does not matter.
"""

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, dataclass_transform


_T = TypeVar("_T")
_C = TypeVar("_C", bound=type)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: _C) -> _C:
    """Make a class a record: its annotated names become fields, with their values in the class as defaults."""
    cls.__init__ = _init_with({n: cls.__dict__[n] for n in cls.__annotations__ if n in cls.__dict__})  # type: ignore[misc]
    return freeze(cls)


def freeze(cls: _C) -> _C:
    """Give a class all methods of a record but ``__init__``, which puts the fields into ``__dict__``."""
    cls.__setattr__ = cls.__delattr__ = _refuse  # type: ignore[method-assign,assignment]
    cls.__eq__ = _equal  # type: ignore[method-assign,assignment]
    cls.__hash__ = _hash  # type: ignore[method-assign,assignment]
    cls.__repr__ = _show  # type: ignore[method-assign,assignment]
    return cls


def replace(old: _T, **changes: Any) -> _T:
    """Return a record with some fields changed."""
    return type(old)(**{**fields_of(old), **changes})


def fields_of(some: Any) -> dict[str, Any]:
    """Return the fields of a record with their values, in the order in which they are declared."""
    return {name: some.__dict__[name] for name in type(some).__annotations__}


def fill(some: Any, values: dict[str, Any]) -> None:
    """Put its fields into a new record.

    Raises:
        TypeError: One is missing, or unknown.
    """
    wanted = type(some).__annotations__
    if values.keys() != wanted.keys():
        names = ", ".join(sorted(values.keys() ^ wanted.keys()))
        raise TypeError(f"{type(some).__name__} takes {', '.join(wanted)}; missing or unknown: {names}")
    some.__dict__.update(values)


def _init_with(defaults: dict[str, Any]) -> Callable[..., None]:
    def init(self: Any, **values: Any) -> None:
        fill(self, defaults | values)

    return init


def _refuse(self: Any, name: str, value: Any = None) -> NoReturn:
    del value
    raise AttributeError(f"{type(self).__name__}.{name} can't be changed: records are frozen")


def _equal(self: Any, other: object) -> bool:
    return type(self) is type(other) and fields_of(self) == fields_of(other)


def _hash(self: Any) -> int:
    return hash((type(self), *fields_of(self).values()))


def _show(self: Any) -> str:
    inside = ", ".join(f"{name}={value!r}" for name, value in fields_of(self).items())
    return f"{type(self).__name__}({inside})"
