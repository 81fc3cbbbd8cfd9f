"""What rules about settings of something that is off share."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from recipe_compiler.rules.rule import Finding
from recipe_compiler.settings import Resolved
from recipe_schema.definition import number_text


class Switch(NamedTuple):
    """Settings, and what they wait for.

    Attributes:
        keys: A section, or a single key. An element of a table is written ``*``.
        switches: The settings that turn it on. Each of them does it alone.
        cure: How that is done, for people.
        off: Their values that leave it off.
        on: Their values that turn it on, where `off` is empty.
    """

    keys: str
    switches: tuple[str, ...]
    cure: str
    off: tuple[Any, ...] = ()
    on: tuple[Any, ...] = ()

    def is_off(self, settings: Resolved) -> bool:
        """Say whether all switches are off."""
        values = [settings[path] for path in self.switches]
        return all(value in self.off if self.off else value not in self.on for value in values)

    def at(self, table: str) -> "Switch":
        """Return the same for one element of a table."""
        here = tuple(path.replace("data.datasets.*", table) for path in self.switches)
        return self._replace(keys=self.keys.replace("data.datasets.*", table), switches=here)


def without_effect(settings: Resolved, switch: Switch) -> Iterator[Finding]:
    """Find settings that were given and wait for something that is off."""
    if not settings.fine(*switch.switches) or not switch.is_off(settings):
        return
    state = " and ".join(f"`{path}` is {_shown(settings[path])}" for path in switch.switches)
    for path in _settings_of(settings, switch):
        if settings.fine(path) and settings.given(path) and _asks_for_something(settings, path):
            yield Finding(
                at=path,
                message=f"`{path}` has no effect: {state}",
                help=f"{switch.cure}, or leave it out",
                also=tuple((other, "off here") for other in switch.switches),
            )


def _settings_of(settings: Resolved, switch: Switch) -> list[str]:
    inside = f"{switch.keys}."
    return [
        path
        for path in settings.settings
        if (path == switch.keys or path.startswith(inside)) and path not in switch.switches
    ]


def _asks_for_something(settings: Resolved, path: str) -> bool:
    """Tell ``dropout: 0``, which goes well with what is off, from a value that somebody waits for."""
    value, usual = settings[path], settings.settings[path].leaf.key.default
    return bool(value != "none" and (value or value != usual))


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return value if isinstance(value, str) else number_text(value)
