"""Every command of the pages is one that there is."""

import ast
import json
import re
import shlex
import tomllib
from itertools import dropwhile, takewhile
from pathlib import Path

import pytest

from fakes_docs import ROOT, Block, all_blocks, pages, prose
from recipe_compiler.cli.arguments import COMMANDS, parse
from recipe_compiler.pages import all_pages
from recipe_schema.definition import leaves


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
KEYS = {leaf.path.replace(".*", "") for leaf in leaves()}
SECTIONS = {path.rpartition(".")[0] for path in KEYS} | {"data", "regularizers", "tracking.webhooks", "data.datasets"}
OTHERS = {
    "apt-get", "bash", "cd", "cp", "docker", "export", "hf", "mkdir", "nvidia-smi", "python", "python3", "ssh", "tail",
    "tensorboard", "wandb",
}  # fmt: skip
"""Programs that are not ours, and whose arguments nobody checks here."""


def commands(block: Block) -> list[list[str]]:
    """Return the commands of a block, split into words, without variables before them and comments behind."""
    text = block.text.replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    found = []
    for line in lines:
        words = list(dropwhile(re.compile(r"[A-Z_]+=").match, takewhile(lambda word: word not in (">", "|"), line)))
        if words:
            found.append([Path(words[0]).name, *words[1:]])
    return found


SHELL = [block for block in all_blocks("bash") if commands(block)]


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.place)
def test_a_shell_example_calls_what_there_is(block, capsys):
    for program, *arguments in commands(block):
        if program == "recipe":
            assert is_taken(arguments), f"{block.place}: {capsys.readouterr().err}"
        elif program == "make":
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            for target in (word for word in arguments if "=" not in word):
                assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), f"there is no `make {target}`"
        elif program in ("pip", "uv"):
            check_install(arguments)
        else:
            assert program in OTHERS


def is_taken(arguments: list[str]) -> bool:
    try:
        return parse(arguments) is not None
    except SystemExit as stop:
        return stop.code == 0  # --version and --help


def check_install(arguments: list[str]) -> None:
    text = " ".join(arguments)
    for extras in re.findall(r"(?:sana[-_]recipes[^ ]*|\.)\[([^]]*)\]", text):
        assert set(extras.split(",")) <= set(PROJECT["project"]["optional-dependencies"]), text
    for file in re.findall(r"(?:-c|--constraints?) (\S+)", text):
        assert (ROOT / file).name == "constraints.txt"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_is_there(page):
    text = prose(page)
    for code in re.findall(r"\bR[0-9]{3}\b", text):
        assert code in all_pages(), code
    for command in re.findall(r"`recipe ([a-z]+)", text):
        assert command in COMMANDS, command
    for extra in re.findall(r"pip install [^`]*\[([a-z0-9,]+)\]", text):
        assert set(extra.split(",")) <= set(PROJECT["project"]["optional-dependencies"])
    for target in re.findall(r"`make ([a-z]+)", text):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for path in re.findall(r"`((?:docs|recipes|benchmarks|tests|schema|compiler|runtime)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_key_that_a_page_names_is_one_of_the_language(page):
    roots = {path.partition(".")[0] for path in KEYS if "." in path}
    for name in re.findall(r"`([a-z_]+(?:\.[a-z_0-9*]+)+)(?::[^`]*)?`", prose(page)):
        path = re.sub(r"\.([0-9]+|\*)(?=\.|$)", "", name)
        if path.partition(".")[0] in roots and not path.endswith((".py", ".md", ".yaml", ".json")):
            assert path in KEYS | SECTIONS, name


@pytest.mark.parametrize("block", all_blocks("python"), ids=lambda block: block.place)
def test_a_python_example_is_python(block):
    ast.parse(block.text)


@pytest.mark.parametrize("block", all_blocks("json"), ids=lambda block: block.place)
def test_a_json_example_is_json(block):
    json.loads(block.text)


def test_the_readme_lists_every_command():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^recipe ([a-z]+)\b.* {2,}\S", readme, flags=re.MULTILINE)
    assert set(listed) == set(COMMANDS)


def test_one_table_lists_every_extra():
    table = (
        (ROOT / "docs" / "install.md").read_text(encoding="utf-8").partition("\n## Extras\n")[2].partition("\n## ")[0]
    )
    listed = re.findall(r"^\| `([a-z0-9]+)` \|", table, flags=re.MULTILINE)
    assert set(listed) == set(PROJECT["project"]["optional-dependencies"])
