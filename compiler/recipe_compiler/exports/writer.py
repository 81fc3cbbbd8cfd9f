"""Reads the settings of a recipe one by one, and collects what is said of them in another configuration."""

import os
from pathlib import Path
from typing import Any

from recipe_compiler.exports.outcome import Unsaid
from recipe_compiler.settings import Resolved
from recipe_schema.definition import generic, leaf_index


class Writer:
    """Collects.

    Attributes:
        settings: The recipe's settings.
        options: What is said, by option.
        unsaid: What is not.
        said: The settings that are said.
    """

    def __init__(self, settings: Resolved, root: Path) -> None:
        self.settings = settings
        self.options: dict[str, Any] = {}
        self.unsaid: list[Unsaid] = []
        self.said: set[str] = set()
        self._root = root

    def __getitem__(self, path: str) -> Any:
        """Return the value of a setting."""
        return self.settings[path]

    def say(self, path: str, option: str, value: Any) -> None:
        """Write an option for a setting."""
        self.options[option] = value
        self.said.add(path)

    def need(self, path: str, *values: Any, reason: str, instead: str = "") -> None:
        """Tell that a setting can't be said unless it has one of some values.

        Args:
            path: The setting.
            values: Those that the other trainer has without being told.
            reason: What it does.
            instead: What is said in its place.
        """
        if self[path] in values:
            self.said.add(path)
        else:
            self.tell(path, reason + (f"; {instead}" if instead else ""))

    def tell(self, path: str, reason: str, *, nearly: bool = False) -> None:
        """Tell that a setting can't be said, or not quite."""
        self.unsaid.append(Unsaid(path, self[path], leaf_index()[generic(path)].key.impact, reason, nearly))

    def path_of(self, path: str) -> str:
        """Return the path that a setting holds, from the current folder."""
        text = str(self[path])
        if Path(text).is_absolute():
            return text
        return Path(os.path.relpath(self._root / text, Path.cwd())).as_posix()

    def model_of(self, path: str) -> str:
        """Return the model that a setting names: a folder from the current one, or a repository."""
        return self.path_of(path) if (self._root / str(self[path])).is_dir() else str(self[path])
