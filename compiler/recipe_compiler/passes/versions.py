"""Versions: can what is installed here execute a plan."""

import re
from collections.abc import Iterator

from recipe_compiler.diagnostics.codes import VERSIONS
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.machine import Machine
from recipe_compiler.source import Span
from recipe_schema.record import replace


Version = tuple[int, int]

PYTHON: tuple[Version, Version] = ((3, 11), (3, 14))
TORCH: tuple[Version, Version] = ((2, 13), (2, 14))
"""The first version that will do, and the first that was not tested, as `pyproject.toml` has them."""


def unsupported_versions(machine: Machine, at: Span) -> Iterator[Diagnostic]:
    """Yield what is too old or too new. That torch is missing altogether is told by `recipe run` itself.

    Args:
        machine: The machine.
        at: Where to report it: versions are nothing that the recipe says.
    """
    torch = machine.version("torch")
    found = {"Python": (f"{machine.python[0]}.{machine.python[1]}", PYTHON), "torch": (torch, TORCH)}
    for name, (installed, (first, beyond)) in found.items():
        version = _version(installed or "")
        if version is None or first <= version < beyond:
            continue
        old = version < first
        message = (
            f"{name} {installed} is {'too old' if old else 'not tested'}: this version takes {_range(first, beyond)}"
        )
        finding = VERSIONS.at(at, message, help=f"install {name} {first[0]}.{first[1]}, or a version tested with it")
        yield finding if old else replace(finding, severity="warning")


def _version(text: str) -> Version | None:
    """Return major and minor version; None for a text that does not begin with them."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match is not None else None


def _range(first: Version, beyond: Version) -> str:
    last = (beyond[0], beyond[1] - 1)
    low, high = (".".join(map(str, version)) for version in (first, last))
    return low if low == high else f"{low} to {high}"
