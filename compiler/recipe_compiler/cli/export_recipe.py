"""``recipe export``: a recipe as another trainer's configuration, and what of it can't be said there."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipe_compiler.cli.errors import UsageError
from recipe_compiler.cli.findings import compile_from, print_findings, print_json
from recipe_compiler.exports.outcome import Exported
from recipe_compiler.exports.simpletuner import export_simpletuner
from recipe_schema.exits import Exit
from recipe_schema.files import write_atomically


def run(options: argparse.Namespace) -> int:
    """Write a recipe's files, unless something that shapes the weights can't be said."""
    folder = Path(options.output)
    compiled = compile_from(options, options.file, must_run=False, look=False)
    if compiled.settings is None or not compiled.ok:
        print_findings(compiled, sys.stderr)
        return Exit.FINDINGS
    exported = export_simpletuner(compiled.settings, compiled.root, folder, options.version)
    written: list[str] = []
    if exported.whole or options.partial:
        written = _write(exported, folder, force=options.force)
    _tell(exported, written, options)
    return Exit.OK if written else Exit.FINDINGS


def _write(exported: Exported, folder: Path, *, force: bool) -> list[str]:
    there = [str(folder / name) for name in exported.files if (folder / name).exists()]
    if there and not force:
        raise UsageError(f"{', '.join(there)}: there already; name another folder with -o, or overwrite with --force")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in exported.files.items():
        write_atomically(folder / name, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
    return [str(folder / name) for name in exported.files]


def _tell(exported: Exported, written: Sequence[str], options: argparse.Namespace) -> None:
    if options.format == "json":
        unsaid: list[dict[str, Any]] = [{**each._asdict(), "shapes": each.shapes} for each in exported.unsaid]
        print_json({"written": list(written), "said": exported.said, "unsaid": unsaid})
        return
    groups = (
        ("can't be said, and shapes the weights:", [each for each in exported.unsaid if each.shapes]),
        ("only comes near:", [each for each in exported.unsaid if each.nearly]),
        ("can't be said:", [each for each in exported.unsaid if not each.shapes and not each.nearly]),
    )
    for title, group in groups:
        if group:
            print(title)
            for each in group:
                print(f"  {each.path}: {json.dumps(each.value, ensure_ascii=False)}  ({each.reason})")
    for name in written:
        print(f"{name}: written")
    if not written:
        print("nothing is written; with --partial, what can't be said is left out")
