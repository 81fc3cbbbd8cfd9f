"""Packages: what is installed, beside what this version asks for and what it was tested with."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from recipe_compiler.doctor.verdict import Verdict
from recipe_compiler.passes.versions import PYTHON


PROJECT = "sana-recipes"
_PACKAGE, _CHECKOUT = Path(__file__).parents[1], Path(__file__).parents[3]
_EXTRAS = {
    "8bit": "the optimizer `adamw8bit`",
    "torchao": "weights in torchao's formats",
    "motion": "`motion.source: flow`",
    "tensorboard": "`tracking.report_to: tensorboard`",
    "wandb": "`tracking.report_to: wandb`",
    "s3": "data sets in S3 stores",
    "lsp": "`recipe lsp`",
}
_SHOWN = 4

Version = Callable[[str], str | None]
"""Returns the version of an installed package; None for one that is not there."""


def requirements(checkout: Path = _CHECKOUT) -> Sequence[str]:
    """Return what this version asks for, each with the extra that it belongs to; nothing if that is not written down.

    Args:
        checkout: Where the sources would be. An installed package has its own list, which those may be ahead of.
    """
    file = checkout / "pyproject.toml"
    if file.is_file():
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        extras = project["optional-dependencies"].items()
        return [*project["dependencies"], *(f'{text}; extra == "{extra}"' for extra, own in extras for text in own)]
    try:
        return metadata.requires(PROJECT) or ()
    except metadata.PackageNotFoundError:
        return ()


def pinned_versions(folders: Sequence[Path] = (_PACKAGE, _CHECKOUT)) -> Mapping[str, str]:
    """Return the versions that this version was tested with, by package; nothing where the list is not there.

    Args:
        folders: Where the list may be: inside the installed package, or in a checkout beside it.
    """
    file = next((path for folder in folders if (path := folder / "constraints.txt").is_file()), None)
    if file is None:
        return {}
    pins = (line.partition(";")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return {_plain(name): version for name, equals, version in (pin.partition("==") for pin in pins) if equals}


def look_at_python(version: tuple[int, int]) -> Verdict:
    """Compare the interpreter with those that will do."""
    (first, beyond), text = PYTHON, f"Python {version[0]}.{version[1]}"
    if first <= version < beyond:
        return Verdict(about="python", status="ok", text=text)
    known = f"{first[0]}.{first[1]} to {beyond[0]}.{beyond[1] - 1}"
    return Verdict(
        about="python",
        status="error" if version < first else "warning",
        text=f"{text} is {'too old' if version < first else 'not tested'}: this version takes {known}",
        cure=f"make an environment with Python {first[0]}.{first[1]}",
    )


def look_at_packages(needed: Sequence[str], tested: Mapping[str, str], version: Version) -> Iterator[Verdict]:
    """Look at what checks recipes and what trains.

    Args:
        needed: Requirements, as an installed package states them.
        tested: The versions that were tested, by package.
        version: Tells what is installed.
    """
    if not needed:
        yield Verdict(
            about="packages", status="note", text=f"{PROJECT} runs from its sources: what it needs is not written down"
        )
    asked = [r for text in needed if (r := _requirement(text)) is not None and _extra(r) in ("", "train")]
    if asked and version("torch") is None:
        yield Verdict(
            about="packages",
            status="error",
            text="torch is not installed: recipes are checked and planned here, and can't be trained",
            cure=f"pip install '{PROJECT}[train]'",
        )
        asked = [requirement for requirement in asked if not _extra(requirement)]
    right = []
    for requirement in asked:
        verdict = _unfit(requirement, version(requirement.name))
        if verdict is not None:
            yield verdict
        else:
            right.append(requirement.name)
    if right:
        yield _as_tested(right, tested, version)


def _unfit(requirement: Requirement, installed: str | None) -> Verdict | None:
    if installed is not None and requirement.specifier.contains(installed, prereleases=True):
        return None
    train = f"{PROJECT}[train]" if _extra(requirement) else PROJECT
    found = "is not installed" if installed is None else f"{installed} is not {requirement.specifier}"
    return Verdict(
        about="packages", status="error", text=f"{requirement.name} {found}", cure=f"pip install --upgrade '{train}'"
    )


def _as_tested(names: Sequence[str], tested: Mapping[str, str], version: Version) -> Verdict:
    """Say how many packages are of the version that was tested. Others may do as well."""
    found = {name: (version(name) or "").partition("+")[0] for name in names}
    others = [
        f"{name} {has} (tested: {tested[_plain(name)]})"
        for name, has in found.items()
        if tested.get(_plain(name), has) != has
    ]
    if not others:
        what = "as tested" if tested else "as asked for"
        return Verdict(about="packages", status="ok", text=f"{len(names)} packages, {what}")
    rest = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return Verdict(
        about="packages",
        status="note",
        text=f"{len(names)} packages, of other versions than tested: {', '.join(others[:_SHOWN])}{rest}",
        cure="pip install -c constraints.txt …, if something goes wrong",
    )


def look_at_extras(needed: Sequence[str], version: Version) -> Iterator[Verdict]:
    """Say which optional packages are there. None of them is needed by a recipe that does not ask for it."""
    extras: dict[str, list[str]] = {}
    for text in needed:
        requirement = _requirement(text)
        if requirement is not None:
            extras.setdefault(_extra(requirement), []).append(requirement.name)
    for extra, what in _EXTRAS.items():
        names = extras.get(extra, [])
        missing = [name for name in names if version(name) is None]
        if missing:
            cure = f"pip install '{PROJECT}[{extra}]'"
            text = f"{extra}: {', '.join(missing)} is not installed; it is for {what}"
            yield Verdict(about="extras", status="note", text=text, cure=cure)
        elif names:
            yield Verdict(about="extras", status="ok", text=f"{extra}: {', '.join(names)}")


def _requirement(text: str) -> Requirement | None:
    """Read a requirement; None for one that this interpreter does not have."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    applies = requirement.marker is None or requirement.marker.evaluate({"extra": _extra(requirement)})
    return requirement if applies else None


def _extra(requirement: Requirement) -> str:
    match = re.search(r"extra == ['\"]([^'\"]+)['\"]", str(requirement.marker or ""))
    return match[1] if match is not None else ""


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
