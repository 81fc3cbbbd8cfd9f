"""What `make learn` taught: it runs these tests at its end, on the clips that its recipes drew."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from judge import chosen, read_all, right_of, shares


RUNS = Path(__file__).parents[2] / "runs"

LEAST = {"color": 90.0, "direction": 80.0, "shape": 80.0}
"""What the proof asks for, in percent."""

LEARN = "learn/validation/step-00006000"
BAR, BAR_FULL = "learn-bar/validation/step-00000200", "learn-bar-full/validation/step-00000200"

pytestmark = pytest.mark.slow


def judged(folder: str, only: str = "", without: str | None = None) -> tuple[int, Mapping[str, float]]:
    """Return how many clips there are, and what share of them shows each attribute as it should, in percent."""
    place = RUNS / folder
    if not place.is_dir():
        pytest.skip(f"{place} is not there: run `make learn`")
    clips = read_all(chosen(place, only, without))
    return len(clips), shares(right_of(clips))


@pytest.mark.parametrize(
    ("folder", "only", "without", "number"),
    [
        (LEARN, "", None, 64),
        (BAR, "bar", None, 16),
        (BAR, "", "bar", 32),
        (BAR_FULL, "bar", None, 16),
        (BAR_FULL, "", "bar", 32),
        ("learn-i2v/validation/step-00000300", "", None, 32),
    ],
    ids=["scenes", "bars", "old-shapes", "bars-by-all-weights", "old-shapes-by-all-weights", "from-pictures"],
)
def test_what_is_drawn_is_what_was_asked_for(folder, only, without, number):
    clips, found = judged(folder, only, without)

    assert clips == number
    assert {name: found[name] for name, least in LEAST.items() if found[name] < least} == {}


def test_guidance_does_no_harm():
    _, guided = judged(LEARN)
    _, unguided = judged("learn/unguided")

    assert unguided["all"] <= guided["all"]
