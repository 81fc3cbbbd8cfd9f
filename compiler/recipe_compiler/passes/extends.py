"""What ``extends`` names: finds the file, or says why there is none and which one may be meant."""

import re
from pathlib import Path

from recipe_compiler.suggest import near
from recipe_schema.record import record


BUILTIN = "builtin:"

_ENDINGS = (".yaml", ".yml")
_LISTED = 5
_PLAIN = r"(?a:[A-Za-z0-9_./][\w./:-]*\Z)"


_NOT_PATHS = {
    r".*\{\{": "`extends` is read before templates: write the path out",
    r"[a-z][a-z0-9+.-]+://": "nothing is downloaded: save the recipe as a file",
    r"~": "`~` is not your home here: write the path out",
}
"""What people take for a path, as it begins, and what to do instead."""


@record
class NoFile:
    """Why there is nothing to build on.

    Attributes:
        problem: What is wrong.
        help: What to do.
        fix: The name that is meant, where one is and it needs no quotes.
    """

    problem: str
    help: str
    fix: str | None = None


def builtin_folder() -> Path:
    """Return the folder of the shipped recipes, with parts of recipes in `fragments`: inside the installed package, or in a checkout beside it."""
    inside = Path(__file__).parent.parent / "builtin"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "recipes"


def locate(name: str, folder: Path) -> Path | NoFile:
    """Find what a recipe builds on.

    Args:
        name: As written: ``builtin:NAME``, or a path.
        folder: The folder of the file that names it.
    """
    if name.startswith(BUILTIN):
        return _builtin(name)
    try:
        target = folder / name
        if target.is_file():
            return target
        is_folder, exists = target.is_dir(), target.exists()
    except OSError:  # a name that no file can have
        return NoFile(problem=f"`{name[:40]}…` is no path", help="name a file beside this one")
    if is_folder:
        return _suggest(f"`{name}` is a folder", target, f"{name.rstrip('/')}/")
    return NoFile(problem=f"`{name}` is no ordinary file", help="name a recipe") if exists else _absent(name, target)


def _builtin(name: str) -> Path | NoFile:
    known = shipped()
    stem = name.removeprefix(BUILTIN)
    if stem in known:
        return known[stem]
    problem = f"there is no shipped recipe `{stem}`"
    meant = near(stem.removesuffix(".yaml"), known)
    if meant is not None:
        return NoFile(problem=problem, help=f"did you mean `{BUILTIN}{meant}`?", fix=BUILTIN + meant)
    return NoFile(problem=problem, help="there is " + ", ".join(BUILTIN + stem for stem in known))


def shipped() -> dict[str, Path]:
    """Return the shipped recipes and fragments by the names that stand after ``builtin:``."""
    folder = builtin_folder()
    found = [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("fragments/*.yaml"))]
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in found}


def _absent(name: str, target: Path) -> NoFile:
    problem = f"`{name}` does not exist"
    if name.removesuffix(".yaml") in shipped():
        meant = BUILTIN + name.removesuffix(".yaml")
        return NoFile(problem=problem, help=f"did you mean `{meant}`?", fix=meant)
    for start, advice in _NOT_PATHS.items():
        if re.match(start, name):
            return NoFile(problem=problem, help=advice)
    above = name[: len(name) - len(target.name)]
    if not target.parent.is_dir():
        return NoFile(problem=problem, help=f"there is no folder `{above.rstrip('/')}`; {_start(name)}")
    return _suggest(problem, target.parent, above, target.name, _start(name))


def _start(name: str) -> str:
    if Path(name).is_absolute():
        return "an absolute path is taken as it is"
    return "a path starts at the folder of the file that names it"


def _suggest(problem: str, folder: Path, above: str, wanted: str = "", otherwise: str = "name a file in it") -> NoFile:
    """Name the file in a folder that is meant, or some that are there."""
    there = {path.name: path.stem for path in sorted(folder.iterdir()) if path.suffix in _ENDINGS}
    stem = near(Path(wanted).stem, there.values())
    meant = next((name for name in there if there[name] == stem), None)
    if meant is None:
        names = ", ".join(f"`{above}{name}`" for name in list(there)[:_LISTED])
        return NoFile(problem=problem, help=otherwise + (f"; there is {names}" if names else ""))
    fix = above + meant if re.match(_PLAIN, above + meant) else None
    return NoFile(problem=problem, help=f"did you mean `{above}{meant}`?", fix=fix)
