"""A folder is used twice, or lies inside a folder of clips.

What it does: compares the folders of all data sets in use, as they are written, and `output_dir` and `data.store_dir`
with them and with each other. Two data sets of one folder that differ in their settings, such as size or
length, are in order.

Why it hurts: data folders are searched with all subfolders, so that clips in both are trained twice as often, or
measured although they are trained. Clips drawn in validation, below `output_dir`, would be taken for training clips by
the next run.

Example:
    data:
      store_dir: clips/store
      datasets:
        - id: clips
          instance_data_dir: clips

Use instead:
    data:
      store_dir: store
      datasets:
        - id: clips
          instance_data_dir: clips
"""

import os
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from recipe_compiler.rules.data_sets import in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import Resolved


FOLDER = "instance_data_dir"
OUTPUT, STORE = "output_dir", "data.store_dir"
TRAINED_OR_MEASURED = ("video", "image", "eval")
APART = ("id", FOLDER, "source", "disabled", "repeats", "probability")
"""Settings in which data sets of one folder may differ and are still the same clips, trained in the same way."""


def check(facts: Facts) -> Iterator[Finding]:
    """Compare the folders of data sets with each other, then with those that are written."""
    settings = facts.settings
    tables = [table for table in in_use(settings, "id", "type", FOLDER) if settings[f"{table}.{FOLDER}"] is not None]
    clips = [table for table in tables if settings[f"{table}.dataset_type"] in TRAINED_OR_MEASURED]
    for first, second in combinations(clips, 2):
        yield from _of_two(settings, first, second)
    written = [path for path in (OUTPUT, STORE) if settings.fine(path)]
    for table in tables:
        yield from _written(settings, table, written)
    if len(written) == 2 and _folder(settings, OUTPUT) == _folder(settings, STORE):  # noqa: PLR2004 - both of them
        yield Finding(
            at=OUTPUT if OUTPUT in settings.places else STORE,
            message=f"`{OUTPUT}` and `{STORE}` are the same folder, `{settings[OUTPUT]}`",
            help="give each its own: results are kept, and the store can be deleted at any time",
            also=((STORE, "the store"),) if OUTPUT in settings.places else (),
        )


def _of_two(settings: Resolved, first: str, second: str) -> Iterator[Finding]:
    one, other = _folder(settings, f"{first}.{FOLDER}"), _folder(settings, f"{second}.{FOLDER}")
    names = [f"`{settings[f'{table}.id']}`" for table in (first, second)]
    kinds = {settings[f"{table}.dataset_type"] for table in (first, second)}
    measured = "eval" in kinds and len(kinds) > 1
    if one == other and (measured or _alike(settings, first, second)):
        message = f"data sets {' and '.join(names)} have the same folder"
    elif one != other and (_inside(one, other) or _inside(other, one)):
        inner, outer = names if _inside(one, other) else names[::-1]
        message = f"the folder of data set {inner} lies inside that of {outer}, which is searched with all subfolders"
    else:
        return
    if measured:
        advice = "what is trained tells nothing when it is measured: keep the clips of both apart"
    else:
        advice = "clips in both are trained twice; keep them apart, or use `repeats` if that is meant"
    yield Finding(
        at=f"{second}.{FOLDER}", message=message, help=advice, also=((f"{first}.{FOLDER}", "the other folder"),)
    )


def _alike(settings: Resolved, first: str, second: str) -> bool:
    """Say whether two data sets do the same with their clips."""
    return all(
        settings[path] == settings[second + path.removeprefix(first)]
        for path, setting in settings.settings.items()
        if path.startswith(f"{first}.") and setting.ignored is None and path.removeprefix(f"{first}.") not in APART
    )


def _written(settings: Resolved, table: str, written: Sequence[str]) -> Iterator[Finding]:
    """Find folders that are written inside a folder of clips. Those at their defaults make one finding."""
    folder = _folder(settings, f"{table}.{FOLDER}")
    inside = [path for path in written if _inside(_folder(settings, path), folder)]
    places: list[tuple[str, tuple[str, ...]]] = [(path, (path,)) for path in inside if path in settings.places]
    defaults = tuple(path for path in inside if path not in settings.places)
    if defaults:
        places.append((f"{table}.{FOLDER}", defaults))
    for at, paths in places:
        listed = " and ".join(f"`{path}: {settings[path]}`" for path in paths)
        name = f"`{settings[f'{table}.id']}`"
        yield Finding(
            at=at,
            message=f"{listed} {'lie' if len(paths) > 1 else 'lies'} in the folder of data set {name}",
            help="all of it is searched for clips, and clips that validation draws would be trained: move one away",
            also=((f"{table}.{FOLDER}", "the folder of clips"),) if at in written else (),
        )


def _folder(settings: Resolved, path: str) -> str:
    return os.path.normpath(str(settings[path]))


def _inside(inner: str, outer: str) -> bool:
    """Say whether a folder lies in another, or is it. An absolute and a relative one can't be compared."""
    parts, above = Path(inner).parts, Path(outer).parts
    comparable = os.path.isabs(inner) == os.path.isabs(outer)
    return comparable and parts[: len(above)] == above and parts[len(above) : len(above) + 1] != (os.pardir,)


RULE = Rule(code="R323", name="folders-overlap", severity="warning", reads=(), check=check, page=__doc__)
