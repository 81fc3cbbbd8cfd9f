import json
import os

import pytest

from fakes_clips import make_clip, make_project
from recipe_compiler.cli.main import main
from recipe_compiler.data.probe import probe
from recipe_compiler.data.trash import move_unreadable
from recipe_schema.ledger import ClipRow


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make_project(tmp_path / "project")


def command(name, recipe, *arguments):
    data = "data.datasets=[{id: x, instance_data_dir: broken, video: {num_frames: 9}}]"
    return main([name, str(recipe), "--set", data, "--set", "data.on_problem=delete", *arguments])


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def entries(trash):
    return [json.loads(line) for line in (trash / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_lint_moves_nothing(project):
    before = files(project.parent)

    command("lint", project)

    assert files(project.parent) == before


def test_a_plan_without_the_word_moves_nothing(project, tmp_path):
    data = "data.datasets=[{id: x, instance_data_dir: broken, video: {num_frames: 9}}]"
    before = files(project.parent)

    assert main(["plan", str(project), "--set", data, "-o", str(tmp_path / "plan")]) == 0

    assert files(project.parent) == before


def test_a_plan_with_errors_moves_nothing(project, tmp_path):
    before = files(project.parent)

    assert command("plan", project, "--set", "train.batch_size=100", "-o", str(tmp_path / "plan")) == 1

    assert files(project.parent) == before


def test_a_plan_moves_what_cannot_be_read_names_it_and_says_where_it_was(project, tmp_path, capsys):
    broken, trash = project.parent / "broken", project.parent / ".broken.trash"
    contents = {name: (broken / name).read_bytes() for name in ("cut.mp4", "empty.mp4")}

    assert command("plan", project, "-o", str(tmp_path / "plan")) == 0

    told = capsys.readouterr().err
    assert files(broken) == ["a.mp4", "a.txt", "b.mp4", "b.txt"]
    assert files(trash) == ["cut.mp4", "empty.mp4", "manifest.jsonl"]
    assert f"moved {broken / 'cut.mp4'}, which is no readable video (" in told
    assert f"moved {broken / 'empty.mp4'}, which is empty, to {trash / 'empty.mp4'}\n" in told
    for entry in entries(trash):
        os.rename(trash / entry["to"], entry["from"])
        assert entry["reason"]
    assert {name: (broken / name).read_bytes() for name in contents} == contents


def test_the_plan_of_what_is_left_is_the_same_and_moves_nothing_more(project, tmp_path, capsys):
    assert command("plan", project, "-o", str(tmp_path / "one"), "--format", "json") == 0
    first = json.loads(capsys.readouterr().out)

    assert command("plan", project, "-o", str(tmp_path / "two"), "--format", "json") == 0
    out, err = capsys.readouterr()

    assert json.loads(out)["plan_id"] == first["plan_id"]
    assert "moved" not in err


def row(path, fate="quarantined"):
    return ClipRow(dataset="d", path=path, fate=fate, reason="broken")


def moves(rows, folder):
    return [str(moved) for moved in move_unreadable(rows, {"d": folder}, lambda ps: ((p, probe(p)) for p in ps))]


def test_two_files_of_one_name_are_both_kept(tmp_path):
    folder, trash = tmp_path / "clips", tmp_path / ".clips.trash"
    for content in ("one", "two"):
        (folder / "sub").mkdir(parents=True, exist_ok=True)
        (folder / "sub" / "a.mp4").write_text(content)
        moves([row("sub/a.mp4")], folder)

    assert [(trash / entry["to"]).read_text() for entry in entries(trash)] == ["one", "two"]
    assert files(trash) == ["manifest.jsonl", "sub/a-2.mp4", "sub/a.mp4"]


def test_only_what_still_cannot_be_read_is_moved(tmp_path):
    clip = make_clip(tmp_path / "clips" / "a.mp4")
    (tmp_path / "clips" / "short.mp4").write_text("no clip")

    told = moves([row("a.mp4"), row("gone.mp4"), row("short.mp4", "filtered")], tmp_path / "clips")

    assert told == [f"left {clip} where it is: it can be read now"]
    assert files(tmp_path) == ["clips/a.mp4", "clips/short.mp4"]


def test_what_lies_behind_a_link_stays(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a.mp4").write_text("no clip")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "link").symlink_to(tmp_path / "theirs")
    (tmp_path / "clips" / "nowhere.mp4").symlink_to("gone.mp4")

    told = moves([row("link/a.mp4"), row("nowhere.mp4")], tmp_path / "clips")

    assert told[0].endswith(f"a link leads out of the data folder, to {tmp_path / 'theirs'}")
    assert (tmp_path / "theirs" / "a.mp4").exists()
    assert os.readlink(tmp_path / ".clips.trash" / "nowhere.mp4") == "gone.mp4"


def test_where_there_can_be_no_trash_all_stays(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_text("no clip")
    (tmp_path / ".clips.trash").write_text("in the way")

    (told,) = moves([row("a.mp4")], tmp_path / "clips")

    assert told.startswith(
        f"left {tmp_path / 'clips' / 'a.mp4'} where it is: it can't be moved to {tmp_path / '.clips.trash'}: "
    )
    assert (tmp_path / "clips" / "a.mp4").exists()
