"""``python -m recipe_compiler.docs [--check] [FOLDER]``: write the reference pages, or say which are stale."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from recipe_compiler.docs.events import events_page
from recipe_compiler.docs.findings import finding_page, findings_index
from recipe_compiler.docs.language import language_page
from recipe_compiler.docs.simpletuner import simpletuner_page
from recipe_compiler.pages import all_pages
from recipe_schema.files import write_atomically


def all_files() -> Mapping[str, str]:
    """Return every page by its path below the folder of reference pages."""
    pages = all_pages()
    return {
        "recipe.md": language_page(),
        "simpletuner.md": simpletuner_page(),
        "events.md": events_page(),
        "findings.md": findings_index(pages.values()),
        **{f"findings/{page.code}.md": finding_page(page) for page in pages.values()},
    }


def stale(folder: Path) -> list[str]:
    """Return the pages that are missing, differ from what they should be, or should not be there."""
    wanted = all_files()
    there = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.md")}
    return sorted(name for name in {*wanted, *there} if wanted.get(name) != there.get(name))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the pages.

    Args:
        arguments: Without the program's name; those of the process by default.

    Returns:
        0, or 1 if pages were checked and are stale.
    """
    parser = argparse.ArgumentParser(prog="python -m recipe_compiler.docs", description="Write the reference pages.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs/reference"), help="where they belong")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if one is stale")
    options = parser.parse_args(arguments)
    names = stale(options.folder)
    if options.check:
        for name in names:
            sys.stderr.write(f"{options.folder / name} is stale; run `make docs` and commit it\n")
        return 1 if names else 0
    wanted = all_files()
    for name in names:
        path = options.folder / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, wanted[name].encode())
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
