"""Names of files as other tools want them: from the folder that they are started in."""

import os
from pathlib import Path
from urllib.parse import quote

from recipe_compiler.source import Source


def relative_path(source: Source) -> str:
    """Return the path of a file from the current folder; the whole path of one outside of it."""
    path = Path(os.path.normpath(Path(source.name).absolute()))
    inside = Path(source.name).resolve()
    here = Path.cwd()
    for candidate, base in ((path, here), (inside, here.resolve())):
        if candidate.is_relative_to(base):
            return str(candidate.relative_to(base))
    return str(inside)


def uri(source: Source) -> str:
    """Return the same as a URI reference."""
    path = Path(relative_path(source))
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
