from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from fakes_clips import make_clip, make_project
from recipe_compiler.cli.explain_clip import clip_text
from recipe_compiler.data.caption_orders import Shuffle, other_orders
from recipe_compiler.passes.compare import clip_changes
from recipe_compiler.passes.lower import lower
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.subject import of_recipe
from recipe_schema.ledger import ledger_digest


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


def look(project, keys, folder="lines"):
    override = f"data.datasets=[{{id: x, instance_data_dir: {folder}, video: {{num_frames: 9}}, {keys}}}]"
    return compile_recipe(project, Options(overrides=[override]))


def texts(project, keys, folder="lines"):
    return {row.path: row.texts for row in look(project, keys, folder).survey.rows}


_FORMS = ("multiline: split", "multiline: whole")


def shuffle(**keys):
    return Shuffle(
        **{"orders": 1, "seed": 0, "split_on": "comma", "position_start": 0, "include_original": True, **keys}
    )


def test_each_line_of_a_file_is_a_caption_of_its_own(project):
    found = texts(project, "multiline: split")

    assert found == {
        "a.mp4": ("a bar motion score: 30.", "a bar moves motion score: 30."),
        "b.mp4": ("a bar that stands motion score: 30.",),
    }


def test_lines_that_say_the_same_are_one_caption_and_each_gets_the_instance_prompt(project):
    make_clip(project.parent / "same" / "a.mp4", caption=" a bar\n\na bar \na box\n")

    found = texts(project, "multiline: split, prepend_instance_prompt: true, instance_prompt: film of", "same")

    assert found["a.mp4"] == ("film of a bar motion score: 30.", "film of a box motion score: 30.")


def test_one_caption_leaves_ledger_and_plan_as_they_were(project):
    whole, split = look(project, "multiline: whole", "clips"), look(project, "multiline: split", "clips")

    assert whole.survey.rows == split.survey.rows
    assert all(row.more_texts == "" for row in whole.survey.rows)


def test_further_captions_are_encoded_and_change_the_ledger_and_are_told(project):
    whole, split = look(project, "multiline: whole"), look(project, "multiline: split")
    bodies = [lower(compiled.settings, compiled.survey) for compiled in (whole, split)]

    assert ledger_digest(whole.survey.rows) != ledger_digest(split.survey.rows)
    assert bodies[0].stages[1].inputs != bodies[1].stages[1].inputs
    assert clip_changes(whole.survey.rows, split.survey.rows)["caption"] == (
        "x/a.mp4: `a bar a bar moves motion score: 30.` → `a bar motion score: 30.` or `a bar moves motion score: 30.`",
    )
    story = clip_text(of_recipe(split), split.survey.rows[0], {"x": Fraction(1)})
    assert "  encoded  a bar motion score: 30.\n  or       a bar moves motion score: 30.\n" in story


def test_a_long_line_is_found_among_short_ones(project):
    make_clip(project.parent / "uneven" / "a.mp4", caption="a bar\n" + "a long bar, " * 120)

    codes = {keys: [d.code for d in look(project, f"repeats: 9, {keys}", "uneven").found] for keys in _FORMS}
    assert codes == {"multiline: split": ["R314"], "multiline: whole": ["R314"]}


def test_captions_are_repeated_only_if_all_of_them_are(project):
    for frames, name in enumerate("abc", 84):
        make_clip(project.parent / "partly" / f"{name}.mp4", frames=frames, caption=f"a bar\na bar called {name}")
        make_clip(project.parent / "wholly" / f"{name}.mp4", frames=frames, caption="a bar\na bar moves")

    assert look(project, "multiline: split", "partly").found == ()
    (finding,) = look(project, "multiline: split", "wholly").found
    assert finding.message == "3 of 3 clips of data set `x` have the same caption: `a bar`"


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("caption_strategy: filename", "`caption_strategy: filename`"),
        ("only_instance_prompt: true, instance_prompt: a bar", "`only_instance_prompt: true`"),
    ],
)
def test_captions_that_are_no_files_have_no_lines(project, keys, shown):
    (finding,) = look(project, f"multiline: split, {keys}", "clips").found

    assert (finding.code, finding.pointer) == ("R350", "data.datasets.0.multiline")
    assert shown in finding.message


def test_captions_are_shuffled_behind_the_instance_prompt(project):
    make_clip(project.parent / "tags" / "a.mp4", caption="red, round, small")

    keys = "prepend_instance_prompt: true, instance_prompt: 'film,', caption_shuffle: {enable: true, count: 2}"
    first, *others = texts(project, keys, "tags")["a.mp4"]

    assert first == "film, red, round, small motion score: 30."
    assert len(others) == 2
    assert all(text.startswith("film, ") and text.endswith(" motion score: 30.") for text in others)


parts = st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=5)


@given(parts=parts, count=st.integers(1, 30), seed=st.integers(0, 9), start=st.integers(0, 6), keeps=st.booleans())
def test_orders_hold_the_same_parts_are_all_different_and_as_many_as_there_are(parts, count, seed, start, keeps):
    caption = ", ".join(parts)
    asked = shuffle(orders=count, seed=seed, position_start=start, include_original=keeps)

    found = other_orders(caption, asked)

    assert found == other_orders(caption, asked)
    assert len(set(found)) == len(found) >= 1
    assert (caption in found) == (keeps or len(found) == 1 == len({*found, caption}))
    for text in found:
        assert sorted(text.split(", ")) == sorted(parts)
        assert text.split(", ")[:start] == parts[:start]
    if len(set(parts[start:])) > 1:
        assert any(text != caption for text in found)


def test_all_orders_are_found_where_more_are_asked_for():
    assert set(other_orders("a, b, c", shuffle(orders=50))) == {
        "a, b, c", "a, c, b", "b, a, c", "b, c, a", "c, a, b", "c, b, a",
    }  # fmt: skip


def test_seeds_give_other_orders():
    caption = "a, b, c, d, e, f, g"

    assert other_orders(caption, shuffle(seed=1)) != other_orders(caption, shuffle(seed=2))


@pytest.mark.parametrize(
    ("split_on", "caption", "other"),
    [
        ("space", "red  ball", "ball red"),
        ("comma", "red,ball,", "ball, red"),
        ("period", "A ball of 2.5 m. It rolls.", "It rolls. A ball of 2.5 m."),
        ("period", "A ball. It rolls", "It rolls. A ball"),
    ],
)
def test_parts_are_joined_as_they_were_separated(split_on, caption, other):
    assert other_orders(caption, shuffle(split_on=split_on, include_original=False)) == (other,)


def test_a_caption_without_another_order_is_kept():
    assert other_orders("a ball", shuffle(include_original=False)) == ("a ball",)
