"""``python -m recipe_runtime.pages report|watch …``. Starts without torch."""

import argparse
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from recipe_runtime.errors import RunError
from recipe_runtime.pages.report import write_report
from recipe_runtime.pages.server import build_server
from recipe_schema.events import EVENTS_FILE
from recipe_schema.exits import Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a report, or serve a page, and return the exit code of the process."""
    options = _parser().parse_args(arguments)
    try:
        if options.page == "report":
            target: Path = options.run_dir / "report.html" if options.output is None else options.output
            write_report(options.run_dir, target, steps=options.steps)
            sys.stdout.write(f"{target}\n")
        else:
            _watch([run for folder in options.run_dirs for run in _runs(folder)], options)
    except RunError as error:
        sys.stderr.write(f"recipe: {error}\n")
        return error.exit_code
    return Exit.OK


def _watch(folders: Sequence[Path], options: argparse.Namespace) -> None:
    server = build_server(folders, options.port)
    try:
        what = "a run" if len(folders) == 1 else f"{len(folders)} runs"
        sys.stdout.write(f"{server.address}  shows {what}; Ctrl-C closes the page and touches nothing else\n")
        sys.stdout.flush()
        if options.open:
            webbrowser.open(server.address)
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()


def _runs(folder: Path) -> list[Path]:
    """Return the runs that a folder means: itself, or those in it.

    Raises:
        RunError: There is none.
    """
    if _is_run(folder):
        return [folder]
    inside = sorted(path for path in folder.glob("*") if path.is_dir() and _is_run(path))
    if not inside:
        raise RunError(f"{folder} is no run directory, and holds none: there is no {EVENTS_FILE} and no plan in it")
    return inside


def _is_run(folder: Path) -> bool:
    return (folder / EVENTS_FILE).is_file() or (folder / "plan").is_dir()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recipe_runtime.pages", description="Show runs in a browser.")
    pages = parser.add_subparsers(dest="page", required=True)
    report = pages.add_parser("report")
    report.add_argument("run_dir", type=Path)
    report.add_argument("--output", type=Path)
    report.add_argument("--steps", type=int, default=6)
    watch = pages.add_parser("watch")
    watch.add_argument("run_dirs", type=Path, nargs="+")
    watch.add_argument("--port", type=int)
    watch.add_argument("--open", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
