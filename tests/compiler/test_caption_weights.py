"""How often each of a clip's captions is drawn."""

from fractions import Fraction

import pytest

from fakes_clips import make_clip, make_project
from recipe_compiler.cli.explain_clip import clip_text
from recipe_compiler.passes.compare import clip_changes
from recipe_compiler.passes.lower import lower
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.subject import of_recipe
from recipe_schema.ledger import ledger_digest


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


def look(project, keys, folder="lines"):
    override = (
        f"data.datasets=[{{id: x, instance_data_dir: {folder}, video: {{num_frames: 9}}, multiline: split, {keys}}}]"
    )
    return compile_recipe(project, Options(overrides=[override]))


def drawn(project, keys, folder="lines", clip="a.mp4"):
    """Return in which share of samples each caption of a clip is drawn."""
    row = {row.path: row for row in look(project, keys, folder).survey.rows}[clip]
    ends = " motion score: 30."
    texts = [text.removesuffix(ends) for text in row.texts]
    return dict(zip(texts, row.shares or [None] * len(texts), strict=True))


@pytest.mark.parametrize("weights", ["[95, 5]", "[0.95, 0.05]", "[19, 1]"])
def test_weights_are_shares_whatever_their_sum(project, weights):
    assert drawn(project, f"caption_weights: {weights}") == pytest.approx({"a bar": 0.95, "a bar moves": 0.05})
    assert drawn(project, f"caption_weights: {weights}", clip="b.mp4") == {"a bar that stands": None}


def test_weights_that_are_alike_leave_ledger_and_stages_as_they_were(project):
    plain, alike = look(project, "repeats: 0"), look(project, "caption_weights: [2, 2]")

    assert plain.survey.rows == alike.survey.rows
    bodies = [lower(compiled.settings, compiled.survey) for compiled in (plain, alike)]
    assert [stage.key for stage in bodies[0].stages] == [stage.key for stage in bodies[1].stages]


def test_a_weight_of_0_leaves_a_line_out(project):
    assert drawn(project, "caption_weights: [0, 3]") == {"a bar moves": None}


def test_lines_that_say_the_same_are_drawn_as_often_as_both(project):
    make_clip(project.parent / "twice" / "a.mp4", caption="a bar\na box\na bar\n")

    assert drawn(project, "caption_weights: [2, 1, 1]", "twice") == {"a bar": 0.75, "a box": 0.25}


def test_orders_of_a_line_share_its_weight(project):
    make_clip(project.parent / "tags" / "a.mp4", caption="red, round, small\na ball\n")

    shuffled = "caption_shuffle: {enable: true, count: 2}"
    found = drawn(project, f"caption_weights: [1, 1], {shuffled}", "tags")

    assert "red, round, small" in found
    assert found.pop("a ball") == pytest.approx(1 / 2)
    assert list(found.values()) == pytest.approx([1 / 6] * 3)
    assert set(drawn(project, f"caption_weights: [3, 1], {shuffled}", "tags").values()) == {None}


def test_weights_change_the_ledger_and_are_told(project):
    plain, weighted = look(project, "repeats: 0"), look(project, "caption_weights: [95, 5]")
    bodies = [lower(compiled.settings, compiled.survey) for compiled in (plain, weighted)]

    assert ledger_digest(plain.survey.rows) != ledger_digest(weighted.survey.rows)
    assert bodies[0].stages[1].key == bodies[1].stages[1].key, "texts are encoded once for both"
    assert bodies[0].stages[-1].key != bodies[1].stages[-1].key
    before = "`a bar motion score: 30.` or `a bar moves motion score: 30.`"
    after = "`a bar motion score: 30.` (0.95) or `a bar moves motion score: 30.` (0.05)"
    assert clip_changes(plain.survey.rows, weighted.survey.rows)["caption"] == (f"x/a.mp4: {before} → {after}",)
    story = clip_text(of_recipe(weighted), weighted.survey.rows[0], {"x": Fraction(1)})
    assert "  encoded  a bar motion score: 30. (in 0.95 of samples)\n  or       a bar moves" in story


@pytest.mark.parametrize(("lines", "found"), [((1, 2), []), ((2, 3, 1, 4, 5, 6), ["R347"])])
def test_lines_and_weights_have_to_be_as_many(project, lines, found):
    folder = f"lines-{len(lines)}"
    for number, count in enumerate(lines):
        caption = "\n".join(f"bar {number} of {line}" for line in range(count))
        make_clip(project.parent / folder / f"{number}.mp4", frames=84 + number, caption=caption)

    findings = [d for d in look(project, "caption_weights: [95, 5]", folder).found if d.code.startswith("R34")]

    assert [d.code for d in findings] == found
    for finding in findings:
        assert finding.severity == "error"
        assert finding.pointer == "data.datasets.0.caption_weights"
        assert finding.message == (
            "`caption_weights` has 2 numbers, and 4 of 6 captions of data set `x` have another number of lines: "
            "1.mp4 (3), 3.mp4 (4), 4.mp4 (5) and 1 more"
        )


def test_one_weight_has_to_be_above_0(project):
    (finding,) = look(project, "caption_weights: [0, 0]").found

    assert (finding.code, finding.severity) == ("R348", "error")
    assert "`caption_weights` is 0 for every line" in finding.message


def test_weights_of_captions_that_are_no_files_are_told_once(project):
    found = [d.code for d in look(project, "caption_weights: [1, 2], caption_strategy: filename").found]

    assert found == ["R350"]


def test_columns_of_the_hub_are_lines_that_can_be_split(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "recipe: 1\ntrain: {max_steps: 9}\ndata: {datasets: [{id: a, type: huggingface, dataset_name: me/clips, "
        "caption_strategy: huggingface, multiline: split, huggingface: {caption_column: [long, short]}}]}\n"
    )

    assert "R350" not in {d.code for d in compile_recipe(recipe, Options(look_at_data=False)).found}
