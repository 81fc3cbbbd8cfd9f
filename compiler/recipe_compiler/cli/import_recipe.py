"""``recipe import``: a recipe from the configuration of another trainer, and what became of each of its keys."""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from recipe_compiler.cli.errors import UsageError
from recipe_compiler.diagnostics.diagnostic import has_errors
from recipe_compiler.diagnostics.render_json import to_json
from recipe_compiler.diagnostics.render_text import render_text, summary
from recipe_compiler.imports.ai_toolkit import import_ai_toolkit
from recipe_compiler.imports.diffusion_pipe import import_diffusion_pipe
from recipe_compiler.imports.document import recipe_text
from recipe_compiler.imports.draft import Draft
from recipe_compiler.imports.finetrainers import import_finetrainers
from recipe_compiler.imports.musubi_tuner import import_musubi_tuner
from recipe_compiler.imports.place import How
from recipe_compiler.imports.problem import ImportProblemError
from recipe_compiler.imports.report import report_json, report_text
from recipe_compiler.imports.sana import import_sana
from recipe_compiler.imports.simpletuner import import_simpletuner
from recipe_compiler.pipeline import Compiled, Options, compile_source
from recipe_compiler.source import Source
from recipe_schema.exits import Exit
from recipe_schema.files import write_atomically


_IMPORTERS: Mapping[str, Callable[[Path, How], Draft]] = {
    "simpletuner": import_simpletuner,
    "diffusion-pipe": import_diffusion_pipe,
    "musubi-tuner": import_musubi_tuner,
    "ai-toolkit": import_ai_toolkit,
    "finetrainers": import_finetrainers,
    "sana": import_sana,
}

_MEANINGLESS = ("config", "dataset", "train")
"""Names of files that don't say what they are for: their folder does."""


def run(options: argparse.Namespace) -> int:
    """Take a configuration over, write the recipe, and tell what became of each key."""
    path = Path(options.path)
    target = Path(options.output) if options.output else Path(f"{_name(path)}.yaml")
    to_stdout = options.output == "-"
    if not to_stdout:
        _may_write(target, path, force=options.force)
    if options.faithful and options.tool != "simpletuner":
        raise UsageError("--faithful is for simpletuner: of the others nothing is known that it would reproduce")
    folder = Path() if to_stdout else target.parent
    try:
        draft = _IMPORTERS[options.tool](path, How(target=folder, faithful=options.faithful, environment=os.environ))
    except ImportProblemError as error:
        raise UsageError(str(error)) from None
    text = recipe_text(draft.settings, _header(options))
    compiled = compile_source(Source(str(target), text), target, Options(look_at_data=False, environment=os.environ))
    if to_stdout:
        print(text, end="")
    else:
        write_atomically(target, text.encode())
    _tell(draft, compiled, options, target)
    return Exit.FINDINGS if has_errors(compiled.found) else Exit.OK


def _name(path: Path) -> str:
    """Name a recipe after its configuration."""
    whole = path.absolute()
    parts = [whole.name, *(above.name for above in whole.parents)] if path.is_dir() else [whole.stem, whole.parent.name]
    telling = next((part for part in parts if part not in _MEANINGLESS and part), "recipe")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", telling).strip("-._") or "recipe"


def _may_write(target: Path, given: Path, *, force: bool) -> None:
    if target.exists() and given.exists() and target.samefile(given):
        raise UsageError(f"`{target}` is the configuration itself: name another file with -o")
    if target.exists() and not force:
        raise UsageError(f"`{target}` is there already; name another file with -o, or overwrite it with --force")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder `{target.parent}`")


def _header(options: argparse.Namespace) -> list[str]:
    said = f"Taken over from {options.path} by `recipe import {options.tool}`"
    said += ", as that trainer does it (--faithful)." if options.faithful else "."
    return [said, "Each line says where its value comes from; a comment above it, why it is another one."]


def _tell(draft: Draft, compiled: Compiled, options: argparse.Namespace, target: Path) -> None:
    out = sys.stderr if options.output == "-" else sys.stdout
    if options.format == "json":
        told = {"recipe": str(target), **report_json(draft), **to_json(compiled.found)}
        print(json.dumps(told, indent=2, ensure_ascii=False), file=out)
        return
    print(report_text(draft), file=out)
    if compiled.found:
        print(f"\n{render_text(compiled.found, color=False)}", file=out)
    found = summary(compiled.found) or "no findings"
    print(f"{target}: {found}; `recipe lint {target}` looks at the clips, too", file=out)
