import pytest

from recipe_runtime.durations import format_duration, format_rate


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (185, "3 min 5 s"),
        (3599.7, "1 h"),
        (7800, "2 h 10 min"),
        (97200, "1 d 3 h"),
        (864000, "10 d"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds, words):
    assert format_duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "1000000000.0 steps/s"), (0.05, "20.0 steps/s"), (0.52, "0.52 s/step"), (24.3, "24 s/step")],
)
def test_a_rate_reads_well_at_any_speed(seconds, words):
    assert format_rate(seconds) == words
