import json
import stat

import pytest

from fakes_clips import make_project
from recipe_compiler.cli.main import main


HEAD = "recipe: 1\ndata:\n  datasets:\n    - {id: a, instance_data_dir: clips}\n"
WRONG = HEAD + "trian: {max_steps: 10}  # ten\n"
RIGHT = HEAD + "train: {max_steps: 10}  # ten\n"
MIXED = HEAD + "trian: {max_steps: 10, max_grad_norm: 0.0, grad_clip_method: value}\nema: {decay: 2}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def recipe(folder):
    def write(text, name="r.yaml"):
        (folder / name).write_bytes(text.encode())
        return name

    return write


def lint(*arguments):
    return main(["lint", "--no-data", *arguments])


def codes(out):
    return [d["code"] for d in json.loads(out)["diagnostics"]]


def test_select_and_ignore_choose_and_what_is_hidden_is_counted(recipe, capsys):
    assert lint(recipe(MIXED), "--format", "json", "--select", "R1,R4", "--ignore", "R405") == 1
    out, err = capsys.readouterr()

    assert codes(out) == ["R101", "R104"]
    assert json.loads(out)["hidden"] == 1
    assert err == "not shown, because of --select or --ignore: 1 warning\n"


def test_a_selection_without_errors_is_clean_and_says_what_it_hides(recipe, capsys):
    assert lint(recipe(MIXED), "--select", "R405") == 0
    out, err = capsys.readouterr()

    assert "warning[R405]" in out
    assert "R101" not in out
    assert "2 errors" in err


def test_a_selection_that_shows_nothing_says_so(recipe, capsys):
    assert lint(recipe(WRONG), "--ignore", "R") == 0
    assert capsys.readouterr().out == "r.yaml: no findings\n"


def test_strict_looks_at_what_is_selected(recipe):
    assert lint(recipe(MIXED), "--select", "R405", "--strict") == 1
    assert lint(recipe(MIXED), "--select", "R306", "--strict") == 0


def test_an_unknown_code_is_wrong_usage_with_a_suggestion(recipe, capsys):
    assert lint(recipe(WRONG), "--ignore", "clipping-of") == 2
    assert capsys.readouterr() == (
        "",
        "error: --ignore: `CLIPPING-OF` begins no code; did you mean R405?\n",
    )


def test_github_shows_a_command_for_each_finding(recipe, capsys):
    assert lint(recipe(WRONG), "--format", "github") == 1
    assert capsys.readouterr().out.startswith("::error file=r.yaml,line=5,col=1,endColumn=6,")


def test_sarif_shows_one_log_for_all_files(recipe, capsys):
    assert lint(recipe(WRONG), recipe(MIXED, "m.yaml"), "--format", "sarif") == 1
    results = json.loads(capsys.readouterr().out)["runs"][0]["results"]

    assert [r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in results[:2]] == [
        "r.yaml",
        "m.yaml",
    ]


def test_a_plan_shows_its_findings_to_github_as_well(recipe, capsys):
    assert main(["plan", recipe(WRONG), "--format", "github"]) == 1
    assert "::error file=r.yaml,line=5,col=1," in capsys.readouterr().out


def test_a_plan_that_is_made_shows_github_no_finding(tmp_path_factory, capsys):
    project = make_project(tmp_path_factory.mktemp("project"))

    assert main(["plan", str(project), "--format", "github"]) == 0
    assert "written to" in capsys.readouterr().out


def test_fix_writes_the_file_and_shows_what_is_left(recipe, folder, capsys):
    assert lint(recipe(WRONG + "ema: {decay: 2}\n"), "--fix") == 1
    out, err = capsys.readouterr()

    assert (folder / "r.yaml").read_text(encoding="utf-8") == RIGHT + "ema: {decay: 2}\n"
    assert err.splitlines() == [
        "fixed R101: unknown key `trian` at the top level; did you mean `train`?",
        "r.yaml: 1 finding fixed",
    ]
    assert "error[R104]" in out
    assert "R101" not in out


def test_fix_of_a_file_in_order_writes_nothing(recipe, folder, capsys):
    name = recipe(RIGHT)
    before = (folder / name).stat()

    assert lint(name, "--fix") == 0
    after = (folder / name).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert capsys.readouterr() == ("r.yaml: no findings\n", "")


def test_fix_keeps_mark_line_ends_mode_and_link(recipe, folder):
    text = "\ufeff" + (WRONG + "max_train_steps: 3").replace("\n", "\r\n")
    recipe(text, "real.yaml")
    (folder / "real.yaml").chmod(0o640)
    (folder / "r.yaml").symlink_to("real.yaml")

    lint("r.yaml", "--fix")

    assert (folder / "r.yaml").is_symlink()
    assert stat.S_IMODE((folder / "real.yaml").stat().st_mode) == 0o640
    assert (folder / "real.yaml").read_bytes().decode() == text.replace("trian", "train")


def test_fix_in_json_lists_what_was_fixed(recipe, capsys):
    assert lint(recipe(WRONG), "--fix", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)

    assert document["diagnostics"] == []
    assert [d["code"] for d in document["fixed"]] == ["R101"]
    assert document["fixed"][0]["safe"] is True


def test_fix_leaves_alone_what_is_not_selected(recipe, folder):
    lint(recipe(WRONG + "ema: {enabled: yes}\n"), "--fix", "--ignore", "R101")

    assert (folder / "r.yaml").read_text(encoding="utf-8") == WRONG + "ema: {enabled: true}\n"


def test_fix_changes_a_fragment_only_if_it_is_named(recipe, folder, capsys):
    recipe(WRONG, "base.yaml")
    main_file = recipe("extends: base.yaml\nema: {enabled: yes, decay: 0.5}\n")

    assert lint(main_file, "--fix") == 1
    assert (folder / "base.yaml").read_text(encoding="utf-8") == WRONG
    capsys.readouterr()

    assert lint(main_file, "base.yaml", "--fix") == 0
    assert (folder / "base.yaml").read_text(encoding="utf-8") == RIGHT
    assert capsys.readouterr().out == "r.yaml: no findings\nbase.yaml: no findings\n"


def test_unsafe_fixes_are_taken_on_demand(recipe, folder):
    text = RIGHT + "ema: {enabled: true, validation: emaonly}\n"

    assert lint(recipe(text), "--fix") == 1
    assert (folder / "r.yaml").read_text(encoding="utf-8") == text
    assert lint("r.yaml", "--fix", "--unsafe-fixes") == 0
    assert "ema_only" in (folder / "r.yaml").read_text(encoding="utf-8")


def test_unsafe_fixes_alone_are_wrong_usage(recipe, capsys):
    assert lint(recipe(RIGHT), "--unsafe-fixes") == 2
    assert "goes with --fix or --diff" in capsys.readouterr().err


def test_diff_shows_what_would_change_and_changes_nothing(recipe, folder, capsys):
    assert lint(recipe(WRONG), "--fix", "--diff", "--ignore", "R3") == 1
    out, err = capsys.readouterr()

    assert out.splitlines() == [
        "--- r.yaml",
        "+++ r.yaml",
        "@@ -2,4 +2,4 @@",
        " data:",
        "   datasets:",
        "     - {id: a, instance_data_dir: clips}",
        "-trian: {max_steps: 10}  # ten",
        "+train: {max_steps: 10}  # ten",
    ]
    assert err == "r.yaml: 1 finding would be fixed\n"
    assert (folder / "r.yaml").read_text(encoding="utf-8") == WRONG


def test_diff_marks_a_last_line_without_a_break(recipe, capsys):
    lint(recipe(HEAD + "trian: {max_steps: 3}"), "--diff")

    assert capsys.readouterr().out.endswith(
        "-trian: {max_steps: 3}\n\\ No newline at end of file\n+train: {max_steps: 3}\n\\ No newline at end of file\n"
    )


def test_diff_of_a_file_in_order_is_empty_and_clean(recipe, capsys):
    assert lint(recipe(RIGHT), "--diff") == 0
    assert capsys.readouterr() == ("", "")


def test_diff_with_findings_that_nothing_fixes_is_not_clean(recipe, capsys):
    assert lint(recipe(RIGHT + "ema: {decay: 2}\n"), "--diff") == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("how", ["--fix", "--diff"])
def test_what_is_no_text_is_not_fixed(folder, how, capsys):
    (folder / "r.yaml").write_bytes(b"recipe: 1\n\xff\n")

    assert lint("r.yaml", how) == 1
    assert (folder / "r.yaml").read_bytes() == b"recipe: 1\n\xff\n"
    assert ("R001" in capsys.readouterr().out) == (how == "--fix")


def test_a_file_that_is_not_there_is_no_fault(capsys):
    assert lint("nowhere.yaml", "--fix") == 2
    assert "No such file" in capsys.readouterr().err


def test_lint_tells_how_many_findings_fix_may_put_right(recipe, capsys):
    lint(recipe(WRONG + "ema: {decay: 2}\n"))

    assert capsys.readouterr().out.endswith(
        "r.yaml: 2 errors\nr.yaml: --fix may put 1 of them right; --diff shows how\n"
    )
