import json
import os

import pytest

from fakes_clips import make_clip, make_project
from recipe_compiler.cli.main import main
from recipe_compiler.data.verify import verify


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp("template")
    make_project(root)
    return root


@pytest.fixture
def project(template, tmp_path):
    import shutil

    return shutil.copytree(template, tmp_path / "project")


@pytest.fixture
def plan(project, capsys):
    assert main(["plan", str(project / "recipe.yaml"), "-o", str(project / "x.plan")]) == 0
    capsys.readouterr()
    return project / "x.plan"


def codes(plan):
    return [one.code for one in verify(plan).found]


def test_a_plan_that_was_just_made_is_in_order(plan, capsys):
    verified = verify(plan)

    assert verified.found == ()
    assert len(verified.rows) == 4
    assert main(["plan", "--verify", str(plan)]) == 0
    assert capsys.readouterr().out == f"{plan}: as it was made, and so are its 4 clips\n"


def test_a_folder_without_a_plan_and_a_file_are_none(tmp_path, project):
    assert codes(tmp_path) == ["R701"]
    assert codes(project / "recipe.yaml") == ["R701"]
    (tmp_path / "plan.json").write_text("{", encoding="utf-8")
    assert codes(tmp_path) == ["R701"]
    assert verify(tmp_path).plan is None


def test_a_plan_of_another_version_is_told_from_one_that_was_edited(plan):
    text = (plan / "plan.json").read_text(encoding="utf-8")

    (plan / "plan.json").write_text(text.replace('"plan_version":1', '"plan_version":0'), encoding="utf-8")
    assert codes(plan) == ["R702"]
    (plan / "plan.json").write_text(text.replace('"train.seed":42', '"train.seed":43'), encoding="utf-8")
    assert codes(plan) == ["R703"]
    (plan / "plan.json").write_text(text.replace('"train.seed":42', '"train.seed":NaN'), encoding="utf-8")
    assert codes(plan) == ["R703"]


def test_a_ledger_that_is_missing_or_of_another_plan_is_noticed(plan, project):
    other = project / "other.plan"
    main(["plan", str(project / "recipe.yaml"), "-o", str(other), "--set", "data.framerate=8"])
    (plan / "ledger.parquet").write_bytes((other / "ledger.parquet").read_bytes())
    assert codes(plan) == ["R704"]
    assert "is not the ledger that this plan was frozen with" in verify(plan).found[0].message

    (plan / "ledger.parquet").unlink()
    assert codes(plan) == ["R704"]
    assert verify(plan).rows is None


def test_clips_that_changed_or_are_gone_are_named_and_others_are_not(plan, project):
    clips = project / "clips"
    make_clip(clips / "c0.mp4", frames=20)
    (clips / "c1.mp4").unlink()
    data = bytearray((clips / "c2.mp4").read_bytes())
    data[-1] ^= 1
    (clips / "c2.mp4").write_bytes(data)
    os.utime(clips / "c2.mp4", ns=(1, 1))
    os.utime(clips / "c3.mp4", ns=(1, 1))  # the same bytes

    found = verify(plan).found
    assert [one.code for one in found] == ["R705", "R706", "R705"]
    assert "clip `clips/c0.mp4` has " in found[0].message
    assert "bytes where the plan has" in found[0].message
    assert f"clip `clips/c1.mp4` is gone: there is no {clips / 'c1.mp4'}" in found[1].message
    assert "clip `clips/c2.mp4` has other content: sha256" in found[2].message


def test_a_folder_of_clips_that_became_a_file_or_a_loop_is_noticed(plan, project):
    clips = project / "clips"
    clips.rename(project / "elsewhere")
    clips.write_text("x", encoding="utf-8")
    assert codes(plan) == ["R706"] * 4

    clips.unlink()
    clips.symlink_to(clips)
    found = verify(plan).found
    assert [one.code for one in found] == ["R706"] * 4
    assert "can't be read" in found[0].message


def test_files_that_are_not_trained_do_not_count(plan, project):
    (project / "clips" / "junk.mp4").write_bytes(b"junk")
    (project / "clips" / "c0.txt").write_text("another caption", encoding="utf-8")

    assert codes(plan) == []


def test_run_refuses_a_plan_whose_clips_changed_and_names_them(plan, project, capsys):
    (project / "clips" / "c1.mp4").unlink()

    assert main(["run", str(plan)]) == 3
    error = capsys.readouterr().err
    assert error.startswith(f"error: {plan} can't be run any more; 1 thing changed since it was made:\n")
    assert "clip `clips/c1.mp4` is gone" in error
    assert "`recipe explain R706`" in error


def test_run_refuses_to_change_a_frozen_plan(plan, capsys):
    assert main(["run", str(plan), "--set", "train.seed=1"]) == 3
    assert "a plan is frozen" in capsys.readouterr().err


def test_run_shows_a_plan_that_was_edited_in_one_sentence(plan, capsys):
    (plan / "plan.json").write_text("{}", encoding="utf-8")

    assert main(["run", str(plan)]) == 3
    assert capsys.readouterr().err.endswith("[R701 plan-unreadable]; see `recipe explain R701`\n")


def test_verify_tells_of_the_first_few_and_counts_the_rest(project, capsys):
    for index in range(4, 12):
        make_clip(project / "clips" / f"c{index}.mp4", caption="more")
    plan = project / "many.plan"
    main(["plan", str(project / "recipe.yaml"), "-o", str(plan)])
    (project / "clips").rename(project / "elsewhere")

    assert main(["plan", "--verify", str(plan)]) == 3
    error = capsys.readouterr().err
    assert "12 things changed since it was made" in error
    assert "and 4 more" in error
    assert main(["plan", "--verify", str(plan), "--format", "json"]) == 3
    assert json.loads(capsys.readouterr().out)["summary"] == {"errors": 12, "warnings": 0}


@pytest.mark.parametrize("option", [("--set", "train.seed=2"), ("-f", "other.yaml"), ("--variant", "a")])
def test_a_frozen_plan_takes_no_changes(plan, capsys, option):
    assert main(["plan", "--verify", str(plan), *option]) == 2
    assert "a plan is frozen" in capsys.readouterr().err
