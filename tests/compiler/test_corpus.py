"""A corpus of broken recipes: every planted mistake has to be found, at its place, in one run, and nothing else.

A file holds recipes, each after a line ``=== name``. Unless a ``-`` follows the name, version and data come before
them; where they say nothing of the length of training, it is set from outside. ``«R101»`` is taken out and stands for a
finding of that code at that very place.
"""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from fakes_machine import BARE
from recipe_compiler.pipeline import Options, compile_recipe


CORPUS = Path(__file__).parent / "corpus"
MARK = re.compile("«(R[0-9]{3})»")


class Case(NamedTuple):
    name: str
    text: str
    planted: frozenset[tuple[str, int, int]]


HEAD = "recipe: 1\n"
DATA = "data: {datasets: [{id: a, instance_data_dir: clips}]}\n"
LENGTH = "train.max_steps=3000"


def cases():
    for file in sorted(CORPUS.glob("*.txt")):
        for part in re.split(r"^=== ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            title, _, body = part.partition("\n")
            name, _, whole = title.partition(" ")
            data = "" if re.search(r"^data:", body, flags=re.MULTILINE) else DATA
            yield pytest.param(case(name, body if whole else HEAD + data + body), id=f"{file.stem}/{name}")


def case(name: str, marked: str) -> Case:
    planted, lines = set(), []
    for number, line in enumerate(marked.split("\n"), 1):
        rest = line
        while match := MARK.search(rest):
            planted.add((match.group(1), number, match.start() + 1))
            rest = rest[: match.start()] + rest[match.end() :]
        lines.append(rest)
    return Case(name, "\n".join(lines), frozenset(planted))


ALL = list(cases())
score = {"planted": 0, "found": 0, "missed": 0, "false": 0}


@pytest.mark.parametrize("broken", ALL)
def test_every_planted_mistake_is_found_at_its_place_and_nothing_else(broken, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(broken.text, encoding="utf-8")
    (tmp_path / "clips").mkdir()

    overrides = () if re.search("max_.*step|num_epochs|R401", broken.text + str(broken.planted)) else (LENGTH,)
    options = Options(look_at_data=False, overrides=overrides, machine=BARE)
    found = {(d.code, d.span.line, d.span.column) for d in compile_recipe(recipe, options).found}

    score["planted"] += len(broken.planted)
    score["found"] += len(found & broken.planted)
    score["missed"] += len(broken.planted - found)
    score["false"] += len(found - broken.planted)
    assert found == broken.planted, broken.text


def test_the_corpus_is_large_and_its_score_is_printed(capsys):
    assert len(ALL) >= 80
    with capsys.disabled():
        print(  # noqa: T201 - the score is for people
            f"\n{len(ALL)} broken recipes: " + ", ".join(f"{count} {what}" for what, count in score.items())
        )
