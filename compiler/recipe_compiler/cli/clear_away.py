"""Moves clips that can't be read away before a plan is written, if the recipe says so, and names each."""

import sys

from recipe_compiler.data.facts import data_folders
from recipe_compiler.data.trash import move_unreadable
from recipe_compiler.pipeline import Compiled


def clear_away(compiled: Compiled) -> None:
    """Move what can't be read, with ``data.on_problem: delete``.

    Args:
        compiled: A recipe without errors, whose data were looked at.
    """
    assert compiled.settings is not None
    assert compiled.survey is not None
    if compiled.settings["data.on_problem"] == "delete":
        folders = data_folders(compiled.settings.values(), compiled.root)
        for moved in move_unreadable(compiled.survey.rows, folders):
            print(moved, file=sys.stderr)
