"""The folder of a data set does not exist, or was not fetched to its end.

What it does: looks for `instance_data_dir` of each data set that is not disabled. Where `recipe fetch` makes the folder
(`type: csv`, `huggingface`, `webdataset`, `aws`), it also asks whether the folder is complete and holds what the recipe names.

Why it hurts: there is nothing to train on. `recipe lint` warns, since a recipe may be checked where its data are
not; `recipe plan` and `recipe run` refuse.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: no-such-folder

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
"""

import os
from collections.abc import Iterator
from pathlib import Path

from recipe_compiler.rules.data_folder_is_address import is_address
from recipe_compiler.rules.data_sets import ADDRESS
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.suggest import near


def check(facts: Facts) -> Iterator[Finding]:
    """Find folders that are not there."""
    assert facts.survey is not None
    for table, folder in facts.survey.missing.items():
        why = facts.survey.unfetched.get(table)
        if why is None and is_address(facts.settings[f"{table}.instance_data_dir"]):
            continue  # another rule says what is meant
        source = facts.settings[f"{table}.source"]
        gets = source or facts.settings[f"{table}.type"] in ADDRESS
        cure = "`recipe fetch RECIPE` gets it" if gets else "check the path, or give a `source` for `recipe fetch`"
        advice = f"{cure}; a relative path starts at the recipe"
        meant = None if gets else meant_folder(folder, facts.root, facts.settings[f"{table}.instance_data_dir"])
        if meant is not None:
            advice = f"did you mean `{meant}`?"
        yield Finding(
            at=f"{table}.instance_data_dir",
            message=not_there(folder) if why is None else why.message,
            help=advice if why is None else why.help,
            fix=meant if why is None else None,
            severity="error" if facts.must_run else "warning",
        )


def meant_folder(folder: Path, root: Path, written: str) -> str | None:
    """Return the folder whose name is near, as the recipe would write it; None if there is none."""
    there = next(above for above in folder.parents if os.path.isdir(above))
    name, *rest = folder.relative_to(there).parts
    try:
        best = near(name, sorted(entry.name for entry in os.scandir(there) if entry.is_dir()))
    except OSError:  # it can't be listed
        return None
    if best is None or not os.path.isdir(there.joinpath(best, *rest)):
        return None
    found = there.joinpath(best, *rest)
    return str(found) if os.path.isabs(written) else Path(os.path.relpath(found, root)).as_posix()


def not_there(folder: Path) -> str:
    """Say why a folder can't be used: there is none, or a file has its name."""
    return f"`{folder}` is a file, and no folder" if os.path.exists(folder) else f"the folder `{folder}` does not exist"


RULE = Rule(
    code="R301",
    name="data-folder-missing",
    severity="warning",
    reads=(),
    check=check,
    page=__doc__,
)
