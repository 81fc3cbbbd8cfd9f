import fcntl
import importlib.util
import os
import sys

import pytest

from fakes_clips import make_project
from recipe_compiler.cli.main import main
from recipe_schema.planfile import read_plan
from recipe_schema.run_lock import RunLockedError, take_lock


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(autouse=True)
def runtime(tmp_path, monkeypatch):
    """Keep what the process would be replaced by."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    became = []

    def execv(program, arguments):
        became.append((program, arguments))
        raise SystemExit

    monkeypatch.setattr(os, "execv", execv)
    return became


def start(*arguments):
    """Run a recipe or a plan, to the point at which the runtime takes over."""
    with pytest.raises(SystemExit):
        main(["run", *map(str, arguments)])


def test_a_recipe_is_frozen_into_its_run_directory_and_handed_to_the_runtime(project, runtime, tmp_path, capsys):
    run = tmp_path / "run"

    start(project, "--set", f"output_dir={run}")

    (program, arguments), *others = runtime
    assert not others
    assert program == sys.executable
    *command, lock, descriptor = arguments
    assert command == [sys.executable, "-m", "recipe_runtime", str(run / "plan"), "--run-dir", str(run)]
    assert lock == "--lock"
    assert descriptor.isdecimal()
    assert read_plan(run / "plan").execution.settings["output_dir"] == str(run)
    assert f"  run        {run}\n" in capsys.readouterr().err


def test_a_quiet_run_says_nothing_and_asks_the_runtime_for_the_same(project, runtime, tmp_path, capsys):
    start(project, "--quiet", "--set", f"output_dir={tmp_path / 'run'}")

    assert runtime[0][1][-1] == "--quiet"
    assert capsys.readouterr().err == ""


def test_a_verbose_run_asks_the_runtime_for_the_same_and_is_not_quiet(project, runtime, tmp_path, capsys):
    start(project, "--verbose", "--set", f"output_dir={tmp_path / 'run'}")

    assert runtime[0][1][-1] == "--verbose"
    with pytest.raises(SystemExit):
        main(["run", str(project), "--verbose", "--quiet"])
    assert "not allowed with" in capsys.readouterr().err


def test_a_plan_is_run_from_where_it_is(project, runtime, tmp_path):
    plan, run = tmp_path / "x.plan", tmp_path / "run"
    assert main(["plan", str(project), "-o", str(plan), "--set", f"output_dir={run}"]) == 0

    start(plan)

    assert runtime[0][1][3:6] == [str(plan), "--run-dir", str(run)]


def test_a_recipe_with_errors_is_not_run(project, runtime, tmp_path, capsys):
    run = tmp_path / "run"

    assert main(["run", str(project), "--set", f"output_dir={run}", "--set", "train.batch_size=64"]) == 1
    assert "R303" in capsys.readouterr().err
    assert (runtime, run.exists()) == ([], False)


def test_a_run_of_the_same_plan_goes_on(project, runtime, tmp_path):
    arguments = [project, "--set", f"output_dir={tmp_path / 'run'}"]
    start(*arguments)
    (tmp_path / "run" / "checkpoints" / "step-00000001").mkdir(parents=True)

    start(*arguments)

    assert runtime == runtime[:1] * 2


def test_a_run_that_trained_nothing_yet_may_take_another_plan(project, runtime, tmp_path):
    run = tmp_path / "run"
    start(project, "--set", f"output_dir={run}")
    before = read_plan(run / "plan")

    start(project, "--set", f"output_dir={run}", "--set", "train.seed=7")

    assert len(runtime) == 2
    assert read_plan(run / "plan").plan_id != before.plan_id


def test_the_plan_of_a_run_that_goes_on_is_not_overwritten(project, tmp_path, capsys):
    run = tmp_path / "run"
    start(project, "--set", f"output_dir={run}")
    before = (run / "plan" / "plan.json").read_bytes()
    with (run / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(b"4711\n")
        lock.flush()

        assert main(["run", str(project), "--set", f"output_dir={run}", "--set", "train.seed=7"]) == 3

    assert f"another process (number 4711) works on {run}; wait for it" in capsys.readouterr().err
    assert (run / "plan" / "plan.json").read_bytes() == before
    start(project, "--set", f"output_dir={run}", "--set", "train.seed=7")
    assert (run / "plan" / "plan.json").read_bytes() != before


@pytest.mark.parametrize("frozen", [False, True])
def test_a_run_is_locked_before_its_plan_is_written_and_the_runtime_takes_the_lock_over(
    project, tmp_path, monkeypatch, frozen
):
    run = tmp_path / "run"
    seen = []

    def execv(_program, arguments):
        descriptor = int(arguments[arguments.index("--lock") + 1])
        seen.append(os.get_inheritable(descriptor))
        seen.append(os.path.samestat(os.fstat(descriptor), (run / ".lock").stat()))
        with pytest.raises(RunLockedError):
            take_lock(run)
        raise SystemExit

    monkeypatch.setattr(os, "execv", execv)

    if frozen:
        plan = tmp_path / "x.plan"
        assert main(["plan", str(project), "-o", str(plan), "--set", f"output_dir={run}"]) == 0
        start(plan)
    else:
        start(project, "--set", f"output_dir={run}")

    assert seen == [True, True]


@pytest.mark.parametrize(
    ("name", "told"), [("file/run", "can't be written: Not a directory"), ("file", "is a file, and no folder")]
)
def test_a_run_directory_that_can_not_be_made_is_named(project, tmp_path, capsys, name, told):
    (tmp_path / "file").write_text("")

    assert main(["run", str(project), "--set", f"output_dir={tmp_path / name}"]) == 3

    assert f"error: {tmp_path / name} {told}" in capsys.readouterr().err


def test_a_folder_with_a_file_in_the_place_of_the_plan_is_left_alone(project, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "plan").write_text("mine")

    assert main(["run", str(project), "--set", f"output_dir={run}"]) == 3

    assert f"{run} holds files and is no run directory" in capsys.readouterr().err
    assert [path.name for path in run.iterdir()] == ["plan"]


def test_another_machine_joins_a_run_that_the_first_works_on(project, runtime, tmp_path, capsys):
    run, plan = tmp_path / "run", tmp_path / "x.plan"
    setting = ["--set", f"output_dir={run}", "--set", "launch.machines=2"]
    assert main(["plan", str(project), "-o", str(plan), *setting]) == 0
    run.mkdir()
    with (run / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        for subject in ([plan], [project, *setting]):
            (run / "plan").mkdir(exist_ok=True)
            (run / "plan" / "plan.json").write_bytes((plan / "plan.json").read_bytes())
            start(*subject, "--machine", "1", "--meeting", "127.0.0.1:1234")
        assert main(["run", str(plan), "--machine", "0", "--meeting", "127.0.0.1:1234"]) == 3

    assert len(runtime) == 2
    assert "works on" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["torch", "diffusers"])
def test_without_the_libraries_of_training_the_command_that_gets_them_is_named(
    project, runtime, tmp_path, missing, monkeypatch, capsys
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else object())

    assert main(["run", str(project), "--set", f"output_dir={tmp_path / 'run'}"]) == 4
    assert "pip install 'sana-recipes[train]'" in capsys.readouterr().err
    assert runtime == []
