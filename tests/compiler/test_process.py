import gc
import io
import os
import runpy
import subprocess
import sys

import pytest

from recipe_compiler.cli import schema
from recipe_compiler.cli.main import main


def run_module(monkeypatch, *arguments):
    """Run ``python -m recipe_compiler`` in this process, and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["recipe", *arguments])
    monkeypatch.delitem(sys.modules, "recipe_compiler.cli.entry", raising=False)
    with pytest.raises(SystemExit) as end:
        runpy.run_module("recipe_compiler", run_name="__main__")
    return end.value.code


@pytest.fixture
def gc_calls(monkeypatch):
    calls = []
    monkeypatch.setattr(gc, "disable", lambda: calls.append("disable"))
    return calls


def test_the_process_takes_its_arguments_and_ends_with_the_exit_code(gc_calls, monkeypatch, capsys):
    assert run_module(monkeypatch, "schema") == 0
    assert '"title": "Sana Video recipe"' in capsys.readouterr().out
    assert run_module(monkeypatch, "schema", "webhook") == 0
    assert '"title": "Message of a run' in capsys.readouterr().out
    assert run_module(monkeypatch, "lint", "nowhere.yaml") == 2
    assert gc_calls == ["disable"] * 3


@pytest.mark.usefixtures("gc_calls")
def test_a_character_that_the_terminal_lacks_is_shown_as_its_number(monkeypatch, tmp_path):
    with (tmp_path / "out").open("w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert run_module(monkeypatch, "lint", "→.yaml") == 2

    assert "`\\u2192.yaml`" in (tmp_path / "out").read_text(encoding="ascii")


@pytest.mark.usefixtures("gc_calls")
def test_a_process_whose_streams_are_closed_does_its_work(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)

    assert run_module(monkeypatch, "schema") == 0


@pytest.mark.usefixtures("gc_calls")
def test_streams_that_are_closed_are_opened_to_nowhere(monkeypatch):
    from recipe_compiler.cli import entry

    opened, told = [], []

    def stat(number):
        if number:
            raise OSError

    monkeypatch.setattr(os, "fstat", stat)
    monkeypatch.setattr(os, "open", lambda path, flags: opened.append((path, flags)))
    monkeypatch.setattr(os, "set_inheritable", lambda number, inheritable: told.append((number, inheritable)))

    entry._open_what_is_closed()
    monkeypatch.undo()

    assert opened == [(os.devnull, os.O_RDWR)] * 2
    assert told == [(1, True), (2, True)]


@pytest.mark.usefixtures("gc_calls")
def test_a_stream_that_is_no_file_does_its_work(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)

    assert run_module(monkeypatch, "schema") == 0

    assert '"title"' in stream.getvalue()


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_a_process_that_was_started_with_closed_streams_does_its_work(closed, tmp_path):
    (tmp_path / "r.yaml").write_text("recipe: 1\n", encoding="utf-8")
    command = f"exec {sys.executable} -m recipe_compiler lint --format json r.yaml {closed}"

    ended = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert ended.stderr == ""
    assert ("missing-key" in ended.stdout) == (closed == "2>&-")


def test_without_a_command_the_commands_are_listed(capsys):
    assert main([]) == 2
    assert "lint" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["schema"], ["explain", "r303"]], ids=["long", "short"])
def test_a_reader_that_goes_away_is_no_failure(arguments, monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(arguments) == 0
        monkeypatch.undo()

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [["schema"], ["explain", "r303"]], ids=["long", "short"])
def test_output_that_can_not_be_written_is_told(arguments, monkeypatch, tmp_path, capsys):
    (tmp_path / "out").touch()
    with os.fdopen(os.open(tmp_path / "out", os.O_RDONLY), "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(arguments) == 2
        monkeypatch.undo()

    assert capsys.readouterr().err == "error: the output can't be written: Bad file descriptor\n"


def test_a_key_press_ends_a_command_with_the_code_of_shells(monkeypatch, capsys):
    def press(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(schema, "run", press)

    assert main(["schema"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_fault_of_ours_is_called_one_and_shown_with_its_lines(monkeypatch, capsys):
    def fail(_):
        raise RuntimeError("two and two are five")

    monkeypatch.setattr(schema, "run", fail)

    assert main(["schema"]) == 5
    error = capsys.readouterr().err
    assert "RuntimeError: two and two are five" in error
    assert "a fault of sana-recipes itself" in error
