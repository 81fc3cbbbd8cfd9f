import pytest

from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.diagnostics.selection import SelectionError, parse_selection
from recipe_compiler.source import Source, start_of


KNOWN = {"R101": "unknown-key", "R405": "clipping-off", "R601": "validation-untrained-size", "R602": "no-prompt"}


def shown(select, ignore):
    selection = parse_selection(select, ignore, KNOWN)
    start = start_of(Source("x", ""))
    each = [Diagnostic(code=c, name=n, severity="error", message="", span=start) for c, n in KNOWN.items()]
    return [d.code for d in each if selection.shows(d)]


@pytest.mark.parametrize(
    ("select", "ignore", "codes"),
    [
        ([], [], ["R101", "R405", "R601", "R602"]),
        (["R6"], [], ["R601", "R602"]),
        (["R1,R405"], [], ["R101", "R405"]),
        (["R1", " r405 "], [], ["R101", "R405"]),
        ([], ["R6"], ["R101", "R405"]),
        (["R6"], ["R601"], ["R602"]),
        (["R601"], ["R6"], ["R601"]),
        (["R601"], ["R601"], []),
        (["R"], ["R"], []),
    ],
)
def test_the_longest_beginning_decides(select, ignore, codes):
    assert shown(select, ignore) == codes


@pytest.mark.parametrize(
    ("part", "hint"),
    [
        ("R406", "did you mean R405?"),
        ("clipping-of", "did you mean R405?"),
        ("unknown-key", "did you mean R101?"),
        ("", "give a code such as R405"),
        ("%%%", "give a code such as R405"),
    ],
)
def test_what_begins_no_code_is_refused_with_a_suggestion(part, hint):
    with pytest.raises(SelectionError, match=r"--ignore: .* begins no code") as error:
        parse_selection([], [part], KNOWN)
    assert hint in str(error.value)
