"""Turn a flat mapping of settings back into `Settings`, strictly: nothing missing, nothing extra."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

from recipe_schema.recipe import Settings
from recipe_schema.section import is_section, keys_of


class DecodeError(Exception):
    """Settings that are not complete, or hold a key that the language does not know."""


def decode_settings(flat: Mapping[str, Any]) -> Settings:
    """Build `Settings` from ``{"train.batch_size": 1, "data.datasets.0.id": "a", …}``.

    Raises:
        DecodeError: A key is missing or unknown. The message names it.
    """
    rest = dict(flat)
    settings: Settings = _decode(Settings, "", rest)
    if rest:
        raise DecodeError(f"unknown setting `{min(rest)}`")
    return settings


def _decode(cls: type, path: str, rest: dict[str, Any]) -> Any:
    hints = cls.__annotations__
    return cls(**{name: _value(hints[name], f"{path}{name}", rest) for name in keys_of(cls)})


def _value(hint: Any, path: str, rest: dict[str, Any]) -> Any:
    if is_section(hint):
        return _decode(hint, f"{path}.", rest)
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) is tuple and is_section(get_args(hint)[0]):
        return _table(get_args(hint)[0], path, rest)
    try:
        value = rest.pop(path)
    except KeyError:
        raise DecodeError(f"missing setting `{path}`") from None
    if isinstance(value, list):
        return tuple(value)
    return float(value) if hint is float and value is not None else value


def _table(item: type, path: str, rest: dict[str, Any]) -> tuple[Any, ...]:
    prefix = f"{path}."
    count = len({key[len(prefix) :].split(".")[0] for key in rest if key.startswith(prefix)})
    return tuple(_decode(item, f"{prefix}{index}.", rest) for index in range(count))
