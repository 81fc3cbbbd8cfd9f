"""What is said of a text that is no YAML: the slip itself, where it was made."""

import pytest

from recipe_compiler.source import Source, Span
from recipe_compiler.syntax.broken import Stop, missing_space, slip
from recipe_compiler.syntax.yaml_tree import parse_yaml


def finding(text):
    node, found = parse_yaml(Source("x", text))
    assert node is None
    (only,) = found
    return only


@pytest.mark.parametrize(
    ("text", "place", "message", "advice"),
    [
        ("a:\n  b:1\n  c: 2\n", (2, 4), "a space is missing behind this `:`", "write `b: 1`"),
        ("a:\n  b:1  # so many\n\n  # more\n  c: 2\n", (2, 4), "a space is missing behind this `:`", "write `b: 1`"),
        ("a:\n  - b:x\n    c: 2\n", (2, 6), "a space is missing behind this `:`", "write `b: x`"),
        ("a:\n  b\uff1a 1\n  c: 2\n", (2, 4), "a key ends in `:`, not in `\uff1a`", "write `b: 1`"),
        ("a:\n  b\uff1a\n  c: 2\n", (2, 4), "a key ends in `:`, not in `\uff1a`", "write `b:`"),
        ("a:\n  b = 1\n  c: 2\n", (2, 5), "a key ends in `:`, not in `=`", "write `b: 1`"),
        ("a:\n  -b: 1\n   c: 2\n", (2, 3), "a space is missing behind this `-`", "write `- b: 1`"),
        ("a:\n\u00a0 b: 1\n  c: 2\n", (2, 1), "begins with the character U+00A0, which is no space", "plain spaces"),
        ("a:\n  b: 1\n   c: 2\n", (3, 4), "is indented deeper than line 2, which has its value", "indent both alike"),
        ("a:\n  b: one: two\n", (2, 9), "a `:` is not allowed here", "quotes around a text that holds `: `"),
        ("a: one: two\n", (1, 7), "a `:` is not allowed here", "quotes around a text that holds `: `"),
        ("a:\n  b: 1\n c: 2\n", (3, 2), "indented by 1 space, unlike those", "like its neighbours"),
        ("a:\n    b: 1\n  c: 2\n", (3, 3), "indented by 2 spaces, unlike those", "like its neighbours"),
        ("a:\n\t- b\n", (2, 1), "a tab is no indentation", "indent by spaces"),
        ("a: @home\n", (1, 4), "a value can't begin with `@`", "put quotes around the value"),
        ("a: `home`\n", (1, 4), "a value can't begin with a backtick", "put quotes around the value"),
        ("a: *bold* text\n", (1, 4), "`*` begins an alias here", "if it is a text"),
        ("a: & more\n", (1, 4), "`&` begins an anchor here", "if it is a text"),
        ('a: "C:\\Users"\n', (1, 7), "`\\U` is no escape that YAML knows in double quotes", "take single quotes"),
        ('a: "C:\\data"\n', (1, 7), "`\\d` is no escape that YAML knows in double quotes", "or `/` in a path"),
        ("a: 'it's so'\n", (1, 8), "the value ends before this", "an apostrophe as `''`"),
        ('a: "one" two\n', (1, 10), "the value ends before this", "quotes around the whole text"),
        ("a: [one] two\n", (1, 10), "the value ends before this", "quotes around the whole, if"),
        ("a: [1, 2\nb: 3\n", (2, 2), "a `,` or `]` is missing before this", "close the list that begins in line 1, or"),
        ("a: {b: 1 c: 2}\n", (1, 11), "a `,` or `}` is missing", "close the mapping, or put a comma"),
        ('a: ["b" "c"]\n', (1, 9), "a `,` or `]` is missing before this", "close the list, or put a comma"),
        ("a: {b: 1\n", (1, 9), "a `,` or `}` is missing", "close the mapping, or"),
        ('a: "b\n', (1, 4), "a quoted scalar has no end", "near here"),
        ("%YAML\na: 1\n", (1, 6), "", "check quotes, brackets and indentation near here"),
    ],
)
def test_a_slip_is_told_where_it_was_made(text, place, message, advice):
    found = finding(text)

    assert (found.code, (found.span.line, found.span.column)) == ("R001", place)
    assert message in found.message
    assert advice in found.help


def test_where_a_list_begins_that_is_not_closed_is_shown_besides():
    (note,) = finding("a: [1, 2\nb: 3\n").notes

    assert (note.span.line, note.span.column, note.text) == (1, 4, "the list begins here")


def test_that_the_file_is_a_mapping_is_not_told_as_a_reason():
    assert finding("a:\n  b: 1\n c: 2\n").notes == ()


@pytest.mark.parametrize(
    ("text", "meant"),
    [("a:1", "a: 1"), ("a_b:1e-3", "a_b: 1e-3"), ("a: 1", None), ("http://x", None), ("C:\\x", None), ("words", None)],
)
def test_a_space_may_be_missing_in_what_is_a_text_for_yaml(text, meant):
    assert missing_space(Span(Source("x", text), 1, 1, 1, len(text) + 1)) == meant


def test_behind_another_key_a_pair_can_not_be_written():
    assert missing_space(Span(Source("x", "- a:1"), 1, 3, 1, 6)) == "a: 1"
    assert missing_space(Span(Source("x", "b: a:1"), 1, 4, 1, 7)) is None


def test_what_is_not_known_is_told_in_the_words_of_the_library():
    span = Span(Source("x", "a: b"), 1, 4, 1, 5)

    found = slip(Stop(problem="did not find expected key", context="", at=span, began=span))

    assert (found.message, found.span) == ("did not find expected key", span)
