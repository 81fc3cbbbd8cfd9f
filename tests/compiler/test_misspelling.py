"""Misspelling any key of a shipped recipe gives exactly one finding, at that key."""

from pathlib import Path

import pytest

from recipe_compiler.passes.compose import read_source
from recipe_compiler.passes.extends import builtin_folder
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.syntax.tree import walk
from recipe_compiler.syntax.yaml_tree import parse_yaml


def misspellings(word: str):
    middle = len(word) // 2
    yield word[:middle] + word[middle] + word[middle:]  # a letter twice
    if len(word) > 2:
        yield word[:middle] + word[middle + 1 :]  # a letter left out
        yield word[: middle - 1] + word[middle] + word[middle - 1] + word[middle + 1 :]  # two letters swapped
    yield word + "s"
    yield word.upper()


def keys():
    for path in sorted(builtin_folder().glob("*.yaml")):
        root, _ = parse_yaml(read_source(path))
        for where, place in walk(root):
            if place.key_span is not None and not {"prompt_library", "images"} & {*where[:-1]}:
                yield pytest.param(path, where, place.key_span, id=f"{path.stem}:{'.'.join(map(str, where))}")


@pytest.mark.parametrize(("path", "where", "span"), list(keys()))
def test_one_misspelt_key_is_one_finding(path: Path, where, span, tmp_path):
    for beside in path.parent.iterdir():
        (tmp_path / beside.name).symlink_to(beside)
    lines = path.read_text(encoding="utf-8").split("\n")
    word = str(where[-1])
    for wrong in misspellings(word):
        if wrong == word:
            continue
        line = lines[span.line - 1]
        changed = line[: span.column - 1] + wrong + line[span.column - 1 + len(word) :]
        recipe = tmp_path / "misspelt.yaml"
        text = "\n".join([*lines[: span.line - 1], changed, *lines[span.line :]])
        recipe.write_text(text, encoding="utf-8")

        found = [
            (d.code, d.span.line, d.span.column) for d in compile_recipe(recipe, Options(look_at_data=False)).found
        ]

        assert found == [("R101", span.line, span.column)], f"{word} → {wrong}"
