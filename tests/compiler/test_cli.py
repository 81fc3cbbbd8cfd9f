import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakes_clips import make_project
from recipe_compiler.cli.main import main
from recipe_compiler.cli.run import check_run_directory
from recipe_compiler.pipeline import Options, compile_recipe, make_plan


RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def recipe(*arguments, cwd=None):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-m", "recipe_compiler", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
    )


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_have_no_findings_but_for_data_that_are_not_there(path, capsys):
    status = main(["lint", str(path), "--format", "json"])

    assert status == 0
    assert {d["code"] for d in json.loads(capsys.readouterr().out)["diagnostics"]} <= {"R301"}


def test_a_clean_recipe_exits_with_0_and_says_so(project, capsys):
    assert main(["lint", str(project)]) == 0
    assert capsys.readouterr().out == f"{project}: no findings\n"


def test_findings_exit_with_1_and_show_excerpt_and_caret(project, capsys):
    bad = project.parent / "bad.yaml"
    bad.write_text(project.read_text(encoding="utf-8").replace("max_steps", "max_stepz"), encoding="utf-8")

    assert main(["lint", str(bad)]) == 1
    out = capsys.readouterr().out
    assert "error[R101]: unknown key `max_stepz` in `train`" in out
    assert f"--> {bad}:14:3" in out
    assert "14 |   max_stepz: 10\n   |   ^^^^^^^^^" in out
    assert "did you mean `max_steps`?" in out
    assert "1 error" in out


def test_warnings_are_allowed_unless_strict(project):
    arguments = ["lint", str(project), "--set", "train.flow_schedule_shift=7.0"]

    assert main(arguments) == 0
    assert main([*arguments, "--strict"]) == 1


def test_a_file_that_is_not_there_exits_with_2_and_one_line():
    result = recipe("lint", "nowhere.yaml")

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: `nowhere.yaml`: No such file or directory\n"


@pytest.mark.parametrize("command", ["lint", "explain", "plan"])
def test_a_shipped_recipe_that_is_given_as_a_file_is_told_how_it_is_used(command, capsys):
    assert main([command, "builtin:quickstart"]) == 2
    assert "a shipped recipe is used by one of yours, with `extends: builtin:quickstart`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "advice"), [("lnt", "did you mean `lint`?"), ("dcotor", "did you mean `doctor`?"), ("x9", "see --help")]
)
def test_a_command_that_there_is_not_is_told_in_a_line(word, advice, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([word, "mine.yaml"])
    assert capsys.readouterr().err.endswith(f"recipe: error: there is no command `{word}`; {advice}\n")


@pytest.mark.parametrize(("code", "kin"), [("R799", "R701, R702"), ("R999", "R0…, R1…")])
def test_a_code_that_there_is_not_is_told_with_those_like_it(code, kin, capsys):
    assert main(["explain", code]) == 2
    err = capsys.readouterr().err
    assert f"there is no finding {code}; there is {kin}" in err
    assert len(err) < 200


def test_the_commands_stand_in_the_order_in_which_they_are_needed(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out = capsys.readouterr().out
    places = [out.index(f"\n    {name}") for name in ("init", "import", "lint", "explain", "plan", "run", "completion")]
    assert places == sorted(places)
    assert "recipes/" not in out  # an installation from a wheel has no such folder


def test_wrong_usage_exits_with_2():
    assert recipe("lint").returncode == 2
    assert recipe().returncode == 2


def test_json_has_the_stable_fields(project, capsys):
    main(["lint", str(project), "--set", "train.batch_size=0", "--format", "json"])
    document = json.loads(capsys.readouterr().out)

    assert document["format_version"] == 1
    assert document["summary"] == {"errors": 1, "warnings": 0}
    (finding,) = document["diagnostics"]
    wanted = {"code", "name", "severity", "message", "file", "line", "column", "end_line", "end_column"}
    assert wanted | {"pointer", "help", "fix"} <= set(finding)
    assert (finding["code"], finding["file"], finding["column"]) == ("R104", "--set 1", 18)


NOT_FOR_A_LINT = [
    *("torch", "rich", "asyncio", "importlib.metadata", "jinja2", "av", "pyarrow", "numpy", "sqlite3"),
    *("concurrent.futures", "recipe_schema.plan", "recipe_schema.ledger"),
    *("recipe_compiler.data.survey", "recipe_compiler.data.index", "recipe_compiler.diagnostics.selection"),
    *("recipe_compiler.passes.override", "recipe_compiler.syntax.expressions", "recipe_compiler.syntax.suppressions"),
]


def after_lint(script, *arguments):
    """Lint without data in a process of its own, and return what a script then prints."""
    code = (
        f"import sys; from recipe_compiler.cli.main import main; main(['lint', '--no-data', *sys.argv[1:]]); {script}"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ).stdout.splitlines()[-1]


def test_lint_loads_neither_torch_nor_video_nor_terminal_libraries(project):
    loaded = f"print(*(name for name in {NOT_FOR_A_LINT} if name in sys.modules))"

    assert after_lint(loaded, project) == ""
    assert after_lint(loaded, project, "--set", "train.max_steps=3") == "recipe_compiler.passes.override"


def test_what_lint_loads_declares_no_dataclasses_as_they_cost_half_a_millisecond_each(project):
    classes = "(c for n, m in [*sys.modules.items()] if n.startswith('recipe_') for c in vars(m).values())"
    script = f"print(*sorted({{c.__name__ for c in {classes} if hasattr(c, '__dataclass_fields__')}}))"

    assert after_lint(script, project) == ""


@pytest.mark.parametrize(
    "command", ["lint", "explain", "diff", "plan", "run", "encode", "store", "fetch", "schema", "import", "export"]
)
def test_every_command_has_help_with_examples(command):
    result = recipe(command, "--help")

    assert result.returncode == 0
    assert f"recipe {command}" in result.stdout.split("examples:")[1]


def test_explain_shows_family_defaults_and_ignored_settings_with_the_reason(capsys):
    guide = str(next(path for path in RECIPES if path.stem == "sana_480p"))
    datasets = "data.datasets=[{id: x, instance_data_dir: nowhere}]"
    text = ["--set", datasets, "--set", "train.flow_schedule_shift=7.0", "--set", "data={}"]
    del text[-2:]

    assert main(["explain", guide, *text]) == 0
    out = capsys.readouterr().out
    frames = next(line for line in out.splitlines() if line.startswith("  num_frames ="))
    shift = next(line for line in out.splitlines() if line.startswith("  flow_schedule_shift ="))
    assert frames.split("←")[0].split() == ["num_frames", "=", "81", "frames"]
    assert "family default of sana-video-480p" in frames
    assert "7" in shift
    assert "ignored, because" in shift


def test_explain_one_key_tells_what_it_replaced(project, capsys):
    assert main(["explain", str(project), "train.max_steps", "--set", "train.max_steps=50"]) == 0
    out = capsys.readouterr().out

    assert out.startswith("train.max_steps = 50 steps\n")
    assert "from        --set 1:1:17" in out
    assert f"replaced    10 at {project}:14:14" in out


def test_explain_suggests_a_key(project, capsys):
    assert main(["explain", str(project), "train.max_stepz"]) == 2
    assert "did you mean `train.max_steps`?" in capsys.readouterr().err


def test_explain_a_code_shows_its_page(capsys):
    assert main(["explain", "r303"]) == 0
    assert "R303 bucket-smaller-than-step (error)" in capsys.readouterr().out


def test_explain_a_clip_tells_its_story(project, capsys):
    assert main(["explain", str(project), "--clip", "c1.mp4"]) == 0
    out = capsys.readouterr().out

    assert "fate     trained" in out
    assert "9 of 85 frames at 16 fps, from 0 s" in out


def test_explain_json_gives_every_leaf_an_origin(project, capsys):
    assert main(["explain", str(project), "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert document["settings"]["train.max_steps"]["origin"]["line"] == 14
    assert all(setting["origin"]["kind"] for setting in document["settings"].values())
    assert document["plan_id"].startswith("sha256:")


def test_plan_writes_and_says_what_it_costs(project, tmp_path, capsys):
    assert main(["plan", str(project), "-o", str(tmp_path / "x.plan")]) == 0
    out = capsys.readouterr().out

    assert "4 found: 4 trained" in out
    assert "preflight → build-model → encode-text → encode-video → train → export" in out
    assert sorted(p.name for p in (tmp_path / "x.plan").iterdir()) == ["ledger.parquet", "plan.json"]


def test_plan_refuses_a_recipe_with_errors(project, tmp_path, capsys):
    arguments = ["plan", str(project), "-o", str(tmp_path / "x.plan"), "--set", "train.batch_size=64"]

    assert main(arguments) == 1
    assert "R303" in capsys.readouterr().err
    assert not (tmp_path / "x.plan").exists()


def test_run_refuses_a_folder_that_is_no_run_and_names_it(project, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious", encoding="utf-8")

    assert main(["run", str(project), "--set", f"output_dir={tmp_path / 'mine'}"]) == 3
    assert "holds files and is no run directory" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_run_takes_a_folder_in_which_another_was_stopped_before_it_had_a_plan(tmp_path, project):
    compiled = compile_recipe(project, Options(overrides=[f"output_dir={tmp_path / 'mine'}"]))
    (tmp_path / "mine" / "plan").mkdir(parents=True)
    (tmp_path / "mine" / "plan" / "ledger.parquet").write_bytes(b"")
    (tmp_path / "mine" / ".lock").touch()

    assert check_run_directory(make_plan(compiled)) == ""


def test_a_full_disk_is_named_by_the_file_that_finds_no_room(project, tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("recipe_compiler.passes.freeze.pq.write_table", full)

    assert main(["plan", str(project), "-o", str(tmp_path / "x.plan")]) == 2
    message = f"error: `{tmp_path / 'x.plan' / 'ledger.parquet'}`: {os.strerror(errno.ENOSPC)}"
    assert message in capsys.readouterr().err
    assert list((tmp_path / "x.plan").iterdir()) == []


def test_run_refuses_a_directory_of_another_plan_and_names_what_changed(project, tmp_path, capsys):
    run = tmp_path / "run"
    (run / "checkpoints" / "step-00000001").mkdir(parents=True)
    assert main(["plan", str(project), "-o", str(run / "plan"), "--set", f"output_dir={run}"]) == 0

    arguments = ["run", str(project), "--set", f"output_dir={run}", "--set", "train.seed=7"]
    assert main(arguments) == 3
    assert "train.seed (42 → 7)" in capsys.readouterr().err


def test_run_refuses_an_edited_plan(project, tmp_path, capsys):
    folder = tmp_path / "x.plan"
    assert main(["plan", str(project), "-o", str(folder)]) == 0
    text = (folder / "plan.json").read_text(encoding="utf-8")
    (folder / "plan.json").write_text(text.replace('"train.seed":42', '"train.seed":43'), encoding="utf-8")

    assert main(["run", str(folder)]) == 3
    assert "was changed after it was frozen" in capsys.readouterr().err


def test_fetch_leaves_a_folder_that_is_there_alone(project, capsys):
    assert main(["fetch", str(project)]) == 0
    assert "is there" in capsys.readouterr().out


def test_fetch_says_when_there_is_no_source(project, capsys):
    override = "data.datasets=[{id: x, instance_data_dir: nowhere}]"

    assert main(["fetch", str(project), "--set", override]) == 4
    assert "gives no `source`" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"\x00", b"- a\n", b"recipe: 1\n\xe9", b"a: [\n" * 1000])
def test_any_bytes_give_findings_and_no_traceback(content, tmp_path, capsys):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)

    assert main(["lint", str(path)]) == 1
    assert "error[R0" in capsys.readouterr().out


def test_a_file_that_can_not_be_read_does_not_keep_others_from_being_checked(project, capsys):
    assert main(["lint", str(project), "nowhere.yaml", str(project), "--format", "json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["summary"] == {"errors": 0, "warnings": 0}
    assert err == "error: `nowhere.yaml`: No such file or directory\n"


def test_options_may_stand_between_other_arguments(project, capsys):
    assert main(["explain", str(project), "--set", "train.max_steps=5", "train.max_steps"]) == 0
    assert capsys.readouterr().out.startswith("train.max_steps = 5 steps")


def test_a_plan_may_be_named_by_its_file(project, tmp_path, capsys):
    folder = tmp_path / "x.plan"
    assert main(["plan", str(project), "-o", str(folder)]) == 0
    (folder / "ledger.parquet").unlink()

    assert main(["run", str(folder / "plan.json")]) == 3
    assert "plan" in capsys.readouterr().err
