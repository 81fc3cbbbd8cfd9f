"""The commands that show and upload runs: what they refuse themselves, and what they hand to the runtime."""

import os
import sys
from pathlib import Path

import pytest

from recipe_compiler.cli.main import main


@pytest.fixture(autouse=True)
def became(monkeypatch):
    """Keep what the process would be replaced by."""
    became = []

    def execv(_program, arguments):
        became.append(arguments)
        raise SystemExit

    monkeypatch.setattr(os, "execv", execv)
    return became


@pytest.fixture
def run(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "events.jsonl").touch()
    return str(run)


@pytest.mark.parametrize(
    ("given", "handed"),
    [
        (["watch", "RUN"], ["recipe_runtime.pages", "watch", "--", "RUN"]),
        (
            ["watch", "RUN", "RUN", "--port", "0", "--open"],
            ["recipe_runtime.pages", "watch", "--port", "0", "--open", "--", "RUN", "RUN"],
        ),
        (["report", "RUN"], ["recipe_runtime.pages", "report", "--steps", "6", "--", "RUN"]),
        (
            ["report", "RUN", "-o", "x.html", "--steps", "0"],
            ["recipe_runtime.pages", "report", "--steps", "0", "--output", "x.html", "--", "RUN"],
        ),
        (["push", "RUN"], ["recipe_runtime.push", "--", "RUN"]),
        (
            ["push", "RUN", "--to", "me/x", "--public", "-q"],
            ["recipe_runtime.push", "--to", "me/x", "--public", "--quiet", "--", "RUN"],
        ),
    ],
)
def test_the_runtime_is_handed_what_was_asked_for(given, handed, run, became):
    with pytest.raises(SystemExit):
        main([run if word == "RUN" else word for word in given])

    assert became == [[sys.executable, "-m", *(run if word == "RUN" else word for word in handed)]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["report", "gone"], "`gone` does not exist; name a run directory"),
        (["watch", "RUN", "gone"], "`gone` does not exist; name a run directory"),
        (["push", "file"], "`file` is a file; name a run directory"),
        (["report", "empty"], "`empty` is no run directory: there is no events.jsonl in it"),
        (["report", "RUN", "--steps", "-1"], "--steps -1 is no number of steps"),
        (["watch", "RUN", "--port", "70000"], "--port 70000 is no port"),
    ],
)
def test_wrong_usage_is_told_at_once(given, message, run, monkeypatch, capsys):
    home = Path(run).parent
    monkeypatch.chdir(home)
    (home / "file").touch()
    (home / "empty").mkdir()

    assert main([run if word == "RUN" else word for word in given]) == 2

    assert message in capsys.readouterr().err
