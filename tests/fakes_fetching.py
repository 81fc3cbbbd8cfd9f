"""Recipes of one data set that `recipe fetch` fills, and what becomes of them."""

import functools
import tempfile
from pathlib import Path

from fakes_clips import RECIPE, make_clip
from recipe_compiler.cli.main import main
from recipe_compiler.pipeline import Options, compile_recipe, make_plan


@functools.cache
def clip_content():
    """Return the bytes of a clip."""
    with tempfile.TemporaryDirectory() as folder:
        return make_clip(Path(folder) / "a.mp4").read_bytes()


def recipe(tmp_path, keys):
    """Write a recipe with one data set of these keys."""
    path = tmp_path / "recipe.yaml"
    lines = "\n".join(f"      {line}" for line in keys)
    path.write_text(RECIPE.replace("      instance_data_dir: clips", lines), encoding="utf-8")
    return path


def fetch(path):
    return main(["fetch", str(path)])


def findings(path, **options):
    return compile_recipe(path, Options(**options)).found


def captions(path):
    compiled = compile_recipe(path, Options(must_run=True))
    assert {d.code for d in compiled.found if d.severity == "error"} <= {"R304"}, "one clip is too few to train"
    if compiled.ok:
        make_plan(compiled)
    return {row.path: row.caption for row in compiled.survey.rows if row.fate == "trained"}


def the(found, code):
    (match,) = [d for d in found if d.code == code]
    return match
