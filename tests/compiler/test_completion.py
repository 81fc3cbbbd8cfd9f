"""What may stand at the cursor of a command line."""

import os
import subprocess
import sys

import pytest

from recipe_compiler.cli.arguments import COMMANDS
from recipe_compiler.cli.main import main
from recipe_compiler.completion.values import codes, first_sentence, values_of
from recipe_compiler.completion.words import words_for
from recipe_compiler.pages import all_pages
from recipe_schema.definition import leaf_index


def after(line):
    return words_for(["recipe", *line.split(" ")])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pu", ["push"]),
        ("--ver", ["--version"]),
        ("nothing ", []),
        ("lint --fi", ["--fix"]),
        ("lint a.yaml --format s", ["sarif"]),
        ("lint --format=s", ["--format=sarif"]),
        ("lint --nothing=s", []),
        ("lint a.yaml b", []),
        (
            "lint --fix --ignore R805,R80",
            ["R805,R801", "R805,R802", "R805,R803", "R805,R804", "R805,R805", "R805,R806"],
        ),
        ("lint --select r80", ["R801", "R802", "R803", "R804", "R805", "R806"]),
        ("run a --set train.max_st", ["train.max_steps="]),
        ("run a --set=train.max_st", ["--set=train.max_steps="]),
        ("run a --set data.datasets.3.rep", ["data.datasets.3.repeats="]),
        ("run a --set ema.enabled=", ["ema.enabled=true", "ema.enabled=false"]),
        (
            "run a --set model.random_weights=",
            ["model.random_weights=tiny", "model.random_weights=small", "model.random_weights=null"],
        ),
        ("run a --set train.seed=", []),
        ("run a --set model.lora.target_modules=", []),
        ("run a --set zebra=", []),
        ("run a --set data.datasets.0.source=builtin:sh", ["data.datasets.0.source=builtin:shapes"]),
        ("explain R80", ["R801", "R802", "R803", "R804", "R805", "R806"]),
        ("explain a.ya", []),
        ("explain a.yaml train.max_s", ["train.max_steps"]),
        ("explain a.yaml train.max_steps more", []),
        ("store v", ["verify"]),
        ("store gc s --keep a.plan b", []),
        ("plan a -o x --v", ["--verify", "--variant"]),
        ("plan nowhere.yaml --variant ", []),
        ("completion f", ["fish"]),
    ],
)
def test_words(line, words):
    assert list(after(line)) == words


def test_nothing_typed_yet_offers_the_commands():
    assert set(COMMANDS) < set(words_for(["recipe", ""]))
    assert set(COMMANDS) < set(words_for(["recipe"]))


def test_each_word_says_what_it_means():
    assert after("lin")["lint"] == "find mistakes in recipes"
    assert after("run a --set train.max_s")["train.max_steps="] == "Optimizer steps."
    assert after("explain R30")["R303"] == "bucket-too-small"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("recipe: 1\nmatrix: {seed: [1, 2]}\ntrain: {seed: '{{ matrix.seed }}'}\n", ["seed-1", "seed-2"]),
        ("recipe: 1\n", []),
        ("recipe: [", []),
    ],
)
def test_variants_are_those_of_the_recipe(text, ids, tmp_path):
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    line = ["recipe", "run", str(tmp_path / "nowhere"), str(tmp_path / "a.yaml"), "--variant", ""]
    assert list(words_for(line)) == ids


def test_a_file_that_is_no_text_has_no_variants(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xff")
    assert words_for(["recipe", "run", str(tmp_path / "a.yaml"), "--variant", ""]) == {}


def test_every_finding_has_a_code_that_is_offered():
    assert list(codes()) == list(all_pages())


def test_values_of_every_key_are_taken_by_the_language():
    for leaf in leaf_index().values():
        for value in values_of(leaf):
            assert value in ("true", "false", "null", *leaf.spec.choices) or value.startswith("builtin:")


def test_the_first_sentence():
    assert first_sentence("One. Two.") == "One."
    assert first_sentence("One, as in 1.5") == "One, as in 1.5"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_this_program(shell, capsys):
    assert main(["completion", shell]) == 0
    assert f"completion {shell}" in capsys.readouterr().out


def test_the_program_answers_the_script(monkeypatch, capsys):
    monkeypatch.setenv("_RECIPE_WORDS", "recipe\nstore\n\nx")
    assert main(["completion", "bash"]) == 0
    assert capsys.readouterr().out == "ls\nverify\ngc\n"

    monkeypatch.setenv("_RECIPE_WORDS", "recipe\nrun\na\n--set\ntrain.max_st\nx")
    assert main(["completion", "fish"]) == 0
    assert capsys.readouterr().out == "train.max_steps=\tOptimizer steps.\n"


@pytest.mark.parametrize("words", ["recipe\nlint\n--s", "recipe\nrun\na\n--set\ntrain.m", "recipe\nexplain\nR3"])
def test_an_answer_loads_nothing_heavy(words):
    code = (
        "import os, sys; os.environ['_RECIPE_WORDS'] = sys.argv[1] + chr(10) + 'x'; from recipe_compiler.cli.main import main; "
        "main(['completion', 'bash']); print(','.join(sorted(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code, words], capture_output=True, text=True, check=True, env=environment
    )
    loaded = set(done.stdout.splitlines()[-1].split(","))
    assert "recipe_compiler.completion.words" in loaded
    heavy = {"torch", "yaml", "jsonschema", "jinja2", "av", "numpy", "pyarrow", "huggingface_hub", "rich", "asyncio"}
    assert not heavy & loaded
