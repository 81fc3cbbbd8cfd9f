import pytest

from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.source import Source
from recipe_compiler.syntax.suppressions import suppressions


HEAD = "recipe: 1\ndata:\n  datasets:\n    - {id: a, instance_data_dir: clips}\n"
CLIPPING = HEAD + "train:\n  max_steps: 10\n  max_grad_norm: 0.0\n  grad_clip_method: value"


def found(tmp_path, text, **options):
    path = tmp_path / "r.yaml"
    path.write_bytes(text.encode())
    compiled = compile_recipe(path, Options(look_at_data=False, **options))
    return [(d.code, d.span.line, d.span.column) for d in compiled.found]


def comments(text):
    return [(c.span.line, c.span.column, c.target, c.word) for c in suppressions(Source("x.yaml", text))]


def test_the_warning_is_there_without_a_comment(tmp_path):
    assert found(tmp_path, CLIPPING) == [("R405", 8, 21)]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_comment_with_a_reason_silences_a_warning_at_its_line(tmp_path, ending):
    text = CLIPPING + "  # recipe: ignore[R405] clipping is off on purpose\n"

    assert found(tmp_path, text.replace("\n", ending)) == []


def test_a_comment_alone_is_about_the_next_line_with_content(tmp_path):
    comment = "  # recipe: ignore[R405] on purpose\n  # more words\n\n  grad_clip"

    assert found(tmp_path, CLIPPING.replace("  grad_clip", comment)) == []


def test_several_codes_share_a_comment(tmp_path):
    text = CLIPPING + "  # recipe: ignore[R405, R601] both are meant\n"

    assert found(tmp_path, text) == [("R009", 8, 51)]


def test_a_comment_in_a_fragment_silences_what_is_found_there(tmp_path):
    (tmp_path / "base.yaml").write_text(CLIPPING + "  # recipe: ignore[R405] meant\n", encoding="utf-8")

    assert found(tmp_path, "extends: base.yaml\n") == []


def test_a_comment_does_not_reach_into_another_file(tmp_path):
    (tmp_path / "base.yaml").write_text(CLIPPING, encoding="utf-8")
    text = "# recipe: ignore[R405] the base means it\nextends: base.yaml\n"

    assert sorted(found(tmp_path, text)) == [("R009", 1, 18), ("R405", 8, 21)]


@pytest.mark.parametrize(
    ("comment", "code", "words"),
    [
        ("# recipe: ignore[R405]", "R010", "without a reason"),
        ("# recipe: ignore[R405] --", "R010", "without a reason"),
        ("# recipe: ignore[R999] why", "R010", "no finding `R999`"),
        ("# recipe: ignore[clipping-off] why", "R010", "no finding `clipping-off`"),
        ("# recipe: ignore[XYZ] why", "R010", "no finding `XYZ`"),
        ("# recipe: ignore R405 why", "R010", "silences nothing"),
        ("# recipe: ignore", "R010", "silences nothing"),
        ("# recipe: ignore[] why", "R010", "silences nothing"),
        ("# recipe: ignore[R405 why", "R010", "silences nothing"),
        ("# recipe: disable[R405] why", "R010", "silences nothing"),
        ("# recipe: ignore[R404] why", "R009", "no R404 to silence"),
        ("# recipe: ignore[R101] why", "R009", "no R101 to silence"),
    ],
)
def test_a_comment_that_does_nothing_is_a_finding_and_the_warning_stays(tmp_path, comment, code, words):
    path = tmp_path / "r.yaml"
    path.write_text(f"{CLIPPING}  {comment}\n", encoding="utf-8")
    result = compile_recipe(path, Options(look_at_data=False)).found

    assert sorted(d.code for d in result) == sorted([code, "R405"])
    (about,) = [d for d in result if d.code == code]
    assert words in about.message
    assert about.severity == "warning"
    assert about.help


def test_a_name_in_the_place_of_a_code_is_translated(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(f"{CLIPPING}  # recipe: ignore[clipping-off] why\n", encoding="utf-8")

    assert "did you mean `R405`?" in [d.help for d in compile_recipe(path, Options(look_at_data=False)).found]


def test_an_error_is_not_silenced(tmp_path):
    text = HEAD + "train:\n  max_stepz: 10  # recipe: ignore[R101] I like it so\n"

    assert found(tmp_path, text) == [("R101", 6, 3), ("R010", 6, 35)]


def test_a_comment_about_data_is_not_unused_where_nobody_looked(tmp_path):
    text = HEAD.replace("clips}", "clips}  # recipe: ignore[R307] mixed lengths") + "train: {max_steps: 1}\n"

    assert found(tmp_path, text) == []


def test_a_comment_for_a_rule_that_could_not_be_asked_is_not_unused(tmp_path):
    text = CLIPPING.replace("0.0", "none") + "  # recipe: ignore[R405] meant\n"

    assert [code for code, _, _ in found(tmp_path, text)] == ["R102"]


def test_a_text_that_can_not_be_read_has_no_further_findings(tmp_path):
    assert [code for code, _, _ in found(tmp_path, "a: [ # recipe: ignore[R405] x\n")] == ["R001"]


STRINGS = """\
a: "# recipe: ignore[R405] one"
b: '# recipe: ignore[R405] two'
c: x#recipe:ignore[R405]three
d: |
  # recipe: ignore[R405] four
e: >-  # recipe: ignore[R405] header
  # recipe: ignore[R405] five
f: "first

  # recipe: ignore[R405] six"   # recipe: ignore[R405] behind
g: [1, "# recipe: ignore[R405] seven", 3]  # recipe: ignore[R405] end
# recipe: ignore[R405] alone
h: |
  text
# recipe: ignore[R405] last
"""


def test_what_is_inside_of_a_value_is_no_comment():
    assert comments(STRINGS) == [
        (6, 8, 6, "ignore"),
        (10, 33, 10, "ignore"),
        (11, 44, 11, "ignore"),
        (12, 1, 13, "ignore"),
        (15, 1, 15, "ignore"),
    ]


def test_of_several_number_signs_in_a_line_the_first_begins_the_comment():
    assert comments("a: 1  # see # recipe: ignore[R405] x\n") == []
    assert comments("a: 1  ## recipe: ignore[R405] x\n") == [(1, 7, 1, "ignore")]


@pytest.mark.parametrize("comment", ["# recipe: one for cats", "# the recipe: 1", "# recipe: ignore what follows"])
def test_prose_is_left_alone(comment):
    assert comments(f"a: 1 {comment}\n") == []


def test_arguments_of_the_command_line_hold_no_comments():
    assert list(suppressions(Source("--set 1", "a=1 # recipe: ignore[R405] x"))) == []


@pytest.mark.parametrize("broken", ["b: [", "b: \x01"])
def test_in_a_text_that_is_not_yaml_no_comment_is_known_to_be_one(broken):
    assert comments(f"a: 1 # recipe: ignore[R405] x\n{broken}\n") == []


def test_a_line_of_a_hundred_thousand_number_signs_takes_no_time():
    assert comments("a: 1 # recipe: ignore[R405] x\nb: [" + "'#', " * 50_000 + "1]\n") == [(1, 6, 1, "ignore")]
