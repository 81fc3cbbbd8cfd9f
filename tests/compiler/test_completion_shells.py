"""The scripts work in the shells that they are for."""

import os
import shutil
import subprocess
import sys

import pytest

from fakes_shell import Shell
from recipe_compiler.cli.main import main


MATRIX = """\
recipe: 1
matrix:
  seed: [1, 22]
data:
  datasets: [{id: a, instance_data_dir: a}]
train: {max_steps: 5, seed: "{{ matrix.seed }}"}
"""


PROGRAM = """\
#!/bin/sh
if [ -n "$_RECIPE_WORDS" ]; then exec {python} -m recipe_compiler "$@"; fi
echo "got<$*>"
"""
"""Answers the shell's questions as `recipe` does, and otherwise tells with what it was started."""


@pytest.fixture
def home(tmp_path, capsys):
    """A folder with the program `recipe`, a recipe with variants, and the scripts."""
    program = tmp_path / "bin" / "recipe"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "sweep.yaml").write_text(MATRIX, encoding="utf-8")
    for shell in ("bash", "zsh", "fish"):
        capsys.readouterr()
        assert main(["completion", shell]) == 0
        (tmp_path / f"recipe.{shell}").write_text(capsys.readouterr().out, encoding="utf-8")
    return tmp_path


def environment(home):
    return {
        "PATH": f"{home / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
    }


PRESSED = [
    ("lint sweep.yaml --stri\t", "lint sweep.yaml --strict"),
    ("lint sweep.yaml --select R31\t4\t", "lint sweep.yaml --select R314"),
    ("lint sweep.yaml --ignore R1,R80\t5\t", "lint sweep.yaml --ignore R1,R805"),
    ("run sweep.yaml --set train.max_s\t20", "run sweep.yaml --set train.max_steps=20"),
    ("run sweep.yaml --set model.type=l\t", "run sweep.yaml --set model.type=lora"),
    ("fetch a --set data.datasets.0.source=builtin:sa\t", "fetch a --set data.datasets.0.source=builtin:sample-clips"),
    ("plan sweep.yaml --variant seed-2\t", "plan sweep.yaml --variant seed-22"),
    ("explain swe\t", "explain sweep.yaml"),
]
"""What is typed, and what it becomes."""


def shell_in_terminal(command, start, home):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    shell = Shell(command, environment(home), home)
    shell.press(f"{start}; echo rea''dy\r")
    shell.wait_for("ready\r\n")
    return shell


def typed(shell, keys):
    """Press keys, run the line, and return the arguments that the program got."""
    for part in keys.split("\t")[:-1]:
        shell.press(f"{part}\t")
    shell.press(f"{keys.rpartition(chr(9))[2]}\r")
    return shell.wait_for(">\r\n").rpartition("got<")[2].partition(">")[0]


@pytest.mark.parametrize(("keys", "line"), PRESSED, ids=[line for _, line in PRESSED])
def test_bash_completes_in_a_terminal(keys, line, home):
    shell = shell_in_terminal(["bash", "--norc", "-i"], "bind 'set bell-style none'; source recipe.bash", home)
    try:
        assert typed(shell, f"recipe {keys}") == line
    finally:
        shell.close()


@pytest.mark.parametrize(("keys", "line"), PRESSED, ids=[line for _, line in PRESSED])
def test_zsh_completes_in_a_terminal(keys, line, home):
    start = "PS1=; unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u -D; source recipe.zsh"
    shell = shell_in_terminal(["zsh", "-f", "-i"], start, home)
    try:
        assert typed(shell, f"recipe {keys}") == line
    finally:
        shell.close()


@pytest.mark.parametrize(("keys", "line"), PRESSED, ids=[line for _, line in PRESSED])
def test_fish_completes(keys, line, home):
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    before = keys.rpartition("\t")[0].replace("\t", "")
    ask = ["fish", "--no-config", "-c", f"source recipe.fish; complete -C 'recipe {before}'"]
    done = subprocess.run(ask, capture_output=True, text=True, env=environment(home), cwd=home, timeout=120, check=True)

    words = [answer.partition("\t")[0] for answer in done.stdout.splitlines()]
    assert line.split()[-1].removesuffix("20") in words
