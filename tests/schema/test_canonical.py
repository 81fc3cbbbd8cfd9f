import json

import pytest

from recipe_schema.canonical import canonical_json, digest


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (16.0, "16"),
        (4.5, "4.5"),
        (2e-3, "0.002"),
        (5e-5, "0.00005"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (1e16, "10000000000000000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1e30, "1e+30"),
        (333333333.33333329, "333333333.3333333"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (-1e-27, "-1e-27"),
    ],
)
def test_numbers_are_written_as_ecmascript_writes_them(number, text):
    # From RFC 8785, appendix B, and section 6.1.6.1.20 of ECMA-262.

    assert canonical_json(number) == text


def test_keys_are_sorted_by_utf_16_code_units():
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}

    assert list(json.loads(canonical_json(value))) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_texts_are_escaped_only_where_json_demands_it():
    assert canonical_json("\u20ac$\u000f\nA'B\"\\/") == '"\u20ac$\\u000f\\nA\'B\\"\\\\/"'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, "\ud800"])
def test_what_json_readers_disagree_about_is_refused(value):
    with pytest.raises(ValueError, match=r"."):
        canonical_json({"a": value})


def test_what_json_has_no_word_for_is_refused_by_name():
    with pytest.raises(TypeError, match="not JSON: set"):
        canonical_json({"a": {1}})


def test_a_digest_ignores_the_order_of_keys_and_notices_a_change():
    assert digest({"a": 1, "b": [1.0]}) == digest({"b": [1], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
