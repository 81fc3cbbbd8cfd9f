"""Where files lie, and how their paths are written in the recipe."""

import os
from collections.abc import Mapping
from pathlib import Path

from recipe_compiler.imports.given import Given
from recipe_compiler.imports.problem import ImportProblemError
from recipe_schema.record import record


HERE = "paths start at the recipe, and `~` is written out"
"""Why a path is written otherwise."""


@record
class How:
    """How a configuration is taken over.

    Attributes:
        target: The folder of the recipe, at which its paths start.
        environment: The variables that its files may name.
        faithful: Reproduce what the other trainer does, and not what was meant.
    """

    target: Path
    environment: Mapping[str, str]
    faithful: bool = False


def rebased(text: str, root: Path, target: Path) -> str:
    """Write a path for the recipe.

    Args:
        text: The path, absolute, from ``root`` or from a home folder (``~``), which recipes don't know.
        root: Where relative paths of the other trainer start.
        target: Where those of the recipe start.
    """
    text = os.path.expanduser(text)
    if not text or os.path.isabs(text) or text.startswith("~"):  # somebody's home that is not here
        return text
    return Path(os.path.relpath((root / text).absolute(), target.absolute())).as_posix()


def rebased_model(text: str, root: Path, target: Path) -> str:
    """Write the path of a model for the recipe; what is no folder is the name of a repository."""
    at_home = text.startswith("~")
    return rebased(text, root, target) if at_home or (root / text).is_dir() else text


def located(text: str, config: Path) -> tuple[Path, Path] | None:
    """Find a file that a configuration names; relative paths start at the folder that its trainer is started in.

    Args:
        text: The path.
        config: The configuration.

    Returns:
        The file, and the folder at which such paths start; None if there is none.
    """
    folder = config.absolute().parent
    text = os.path.expanduser(text)
    for root in (Path.cwd(), folder, *folder.parents):
        if (root / text).is_file():
            return root / text, root
    return None


def named_file(given: Given, config: Path, what: str) -> Path:
    """Find a file that a key names.

    Raises:
        ImportProblemError: There is none.
    """
    found = located(str(given.value), config)
    if found is None:
        raise ImportProblemError(
            f"{given.span}: `{given.name}` names {what} `{given.value}`, which is neither in the current folder nor in "
            f"{config.absolute().parent} or above"
        )
    return short(found[0])


def short(path: Path) -> Path:
    """Write a path from the current folder, where it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
