import time

import pytest
from hypothesis import given, settings, strategies as st

from recipe_compiler.source import Source
from recipe_compiler.syntax.tree import MapNode, to_plain, walk
from recipe_compiler.syntax.yaml_tree import MAX_DEPTH, parse_yaml


def read(text):
    return parse_yaml(Source("x", text))


def codes(text):
    return [(d.code, d.span.line, d.span.column) for d in read(text)[1]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("1e-4", 1e-4),
        ("1E4", 1e4),
        ("5.0e-5", 5e-5),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("~", None),
        ("", None),
        ("True", True),
        ("FALSE", False),
        (".5", 0.5),
        ("'1'", "1"),
        ('"true"', "true"),
        ("1.10", 1.1),
        ("5e-5x", "5e-5x"),
        ("-3", -3),
    ],
)
def test_scalars_follow_the_core_rules_of_yaml_1_2(text, value):
    root, found = read(f"a: {text}\n")

    assert found == []
    assert to_plain(root) == {"a": value}
    assert type(to_plain(root)["a"]) is type(value)


def test_every_value_knows_its_place():
    root, _ = read("a:\n  b: [1, é, {c: 2}]\n")
    places = {path: (place.node.span.line, place.node.span.column) for path, place in walk(root)}

    assert places[("a", "b", 0)] == (2, 7)
    assert places[("a", "b", 1)] == (2, 10)
    assert places[("a", "b", 2, "c")] == (2, 17)


def test_a_key_given_twice_is_shown_at_both_places_and_the_first_is_kept():
    root, (finding,) = read("a: 1\nb: 2\na: 3\n")

    assert to_plain(root) == {"a": 1, "b": 2}
    assert (finding.code, finding.span.line, finding.notes[0].span.line) == ("R002", 3, 1)


def test_a_template_without_quotes_is_named_and_cured():
    root, (finding,) = read("a: {{ vars.x }}\nb: 1\n")

    assert (finding.code, finding.fix) == ("R004", '"{{ vars.x }}"')
    assert to_plain(root) == {"b": 1}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1, 2\nb: 3\n", ("R001", 2, 2)),
        ("a:\n\t- b\n", ("R001", 2, 1)),
        ("a: b: c\n", ("R001", 1, 5)),
        ("a: \x01\n", ("R001", 1, 4)),
        ("a: .nan\n", ("R005", 1, 4)),
        ("a: -.inf\n", ("R005", 1, 4)),
        ("a: 1e400\n", ("R005", 1, 4)),
        ("a: 9007199254740993\n", ("R005", 1, 4)),
        ("a: " + "9" * 5000 + "\n", ("R005", 1, 4)),
        ("a: !!python/object:os.system x\n", ("R003", 1, 4)),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", ("R003", 3, 3)),
        ("? [a]\n: 1\n", ("R003", 1, 3)),
        ("a: &a [*a]\n", ("R003", 1, 8)),
        ("a: *nowhere\n", ("R003", 1, 4)),
        ("a: 1\n---\nb: 2\n", ("R003", 2, 1)),
        ("a: &x b\n*x : 1\n", ("R003", 2, 1)),
    ],
)
def test_what_recipes_cannot_hold_is_found_at_its_place(text, place):
    assert codes(text) == [place]


def test_levels_of_nesting_are_counted_with_aliases_written_out():
    half = MAX_DEPTH // 2
    text = "a: &x " + "[" * half + "]" * half + "\nb: " + "[" * half + "*x" + "]" * half

    assert codes(text) == [("R003", 2, 4 + half)]


def test_aliases_stand_for_their_values():
    root, found = read("a: &x [1, 2]\nb: *x\n")

    assert found == []
    assert to_plain(root) == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 100_000,
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)),
        "a: 1\n" * 1 + "".join(f"k{i}: 1\n" for i in range(60_000)),
    ],
    ids=["brackets", "braces", "alias-bomb", "many-keys"],
)
def test_hostile_files_end_in_one_finding_and_soon(text):
    start = time.process_time()
    _, found = read(text)

    assert [d.code for d in found] == ["R003"]
    assert time.process_time() - start < 5


def test_nesting_up_to_the_limit_is_read():
    depth = MAX_DEPTH - 1
    root, found = read("a: " + "[" * depth + "]" * depth)

    assert found == []
    assert isinstance(root, MapNode)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_no_text_raises_and_every_place_lies_in_it(text):
    root, found = read(text)

    lines = Source("x", text).lines
    spans = [d.span for d in found] + ([place.node.span for _, place in walk(root)] if root is not None else [])
    for span in spans:
        assert 1 <= span.line <= len(lines) + 1
        assert span.column >= 1
