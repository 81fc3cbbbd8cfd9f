"""Two lists in a data folder: `videos.txt` with paths, and `prompt.txt` or `prompts.txt` with captions."""

import pytest

from fakes_clips import RECIPE, make_clip
from recipe_compiler.pipeline import Options, compile_recipe


@pytest.fixture
def folder(tmp_path):
    """Make a folder as `sayakpaul/video-dataset-disney-organized` has it, and a recipe of it."""
    for index, name in enumerate("ab"):
        make_clip(tmp_path / "clips" / "videos" / f"{name}.mp4", frames=12 + index)
    text = RECIPE.replace("instance_data_dir: clips", "instance_data_dir: clips\n      caption_strategy: lists")
    (tmp_path / "recipe.yaml").write_text(text)
    lists(tmp_path / "clips", "videos/b.mp4\nvideos/a.mp4\n", "the b\n the a\n")
    return tmp_path / "clips"


def lists(folder, videos, prompts, name="prompts.txt"):
    (folder / "videos.txt").write_text(videos, encoding="utf-8")
    (folder / name).write_text(prompts, encoding="utf-8")


def look(folder, *overrides):
    return compile_recipe(folder.parent / "recipe.yaml", Options(overrides=["train.max_steps=2", *overrides]))


def told(folder, *overrides):
    return {row.path: row.reason or row.caption for row in look(folder, *overrides).survey.rows}


@pytest.mark.parametrize("name", ["prompt.txt", "prompts.txt"])
def test_a_line_belongs_to_the_clip_that_the_other_list_names_in_it(folder, name):
    (folder / "prompts.txt").rename(folder / name)

    compiled = look(folder)

    assert compiled.found == ()
    assert {row.path: row.caption for row in compiled.survey.rows} == {"videos/a.mp4": "the a", "videos/b.mp4": "the b"}
    assert list(compiled.survey.tables) == [folder / name]


def test_what_lists_lack_is_a_reason(folder):
    lists(folder, "videos/b.mp4\nvideos/c.mp4\nvideos/a.mp4", "the b\nthe c\n\n")
    lists(folder, "videos/b.mp4\nvideos/c.mp4", "the b\nthe c")
    assert told(folder)["videos/a.mp4"] == "no row of `prompts.txt` is for it"

    lists(folder, "videos/a.mp4\nvideos/b.mp4", "  \nthe b")
    assert told(folder)["videos/a.mp4"] == "its caption is empty in line 1 of `prompts.txt`"


def test_several_lines_of_a_clip_are_captions_where_that_is_asked_for(folder):
    lists(folder, "videos/a.mp4\nvideos/b.mp4\nvideos/a.mp4", "one\nthe b\ntwo")

    assert told(folder)["videos/a.mp4"] == (
        "lines 1 and 3 of `prompts.txt` give it different captions; `multiline: split` takes all"
    )
    rows = look(folder, "data.datasets.0.multiline=split").survey.rows
    assert rows[0].texts == ("one motion score: 30.", "two motion score: 30.")
    (found,) = look(folder, "data.datasets.0.multiline=split", "data.datasets.0.caption_weights=[1, 2]").found
    assert (found.code, found.pointer) == ("R340", "data.datasets.0.caption_weights")
    assert found.help == "take out `caption_weights`"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda folder: lists(folder, "a", "b\nc"),
            "`videos.txt` has 1 lines and `prompts.txt` has 2: it can't be said",
        ),
        (lambda folder: lists(folder, "a", "b", "prompt.txt"), "has both `prompt.txt` and `prompts.txt`"),
        (lambda folder: (folder / "videos.txt").unlink(), "has no `videos.txt` with `prompt.txt` or `prompts.txt`"),
        (lambda folder: (folder / "prompts.txt").write_bytes(b"caf\xe9\n"), "`prompts.txt` is not UTF-8: byte 4"),
    ],
)
def test_lists_that_do_not_go_together_are_refused(folder, change, message):
    change(folder)

    (found,) = look(folder).found

    assert (found.code, found.severity, found.pointer) == ("R340", "error", "data.datasets.0.caption_strategy")
    assert message in found.message


def test_lists_that_are_not_read_are_told_where_captions_are_missing(folder):
    hint = "; the folder has a `videos.txt`: say `caption_strategy: lists` if a list of prompts belongs to it"
    (none,) = look(folder, "data.datasets.0.caption_strategy=textfile").found
    (folder / "videos" / "b.txt").write_text("the b")
    (some,) = look(folder, "data.datasets.0.caption_strategy=textfile", "train.batch_size=1").found

    assert (none.code, none.help.endswith(hint)) == ("R302", True)
    assert (some.code, some.help.endswith(f"{hint}, or set data.on_missing_caption: skip")) == ("R306", True)
