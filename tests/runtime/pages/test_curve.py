import math
import re
import xml.etree.ElementTree as ET

import pytest

from recipe_runtime.pages.curve import Line, chart, smoothed, thinned, ticks


def line(*values, **more):
    return Line(name="a & b", points=list(enumerate(values)), color="red", **more)


def test_a_chart_is_an_svg_with_a_path_for_each_line():
    svg = chart([line(1.0, 3.0, 2.0), line(2.0, 2.5, 2.2, faint=True)], across="step")

    assert len([path for path in ET.fromstring(svg).iter("path") if path.get("stroke")]) == 2
    assert "a &amp; b" in svg


def test_higher_values_stand_higher_and_later_ones_to_the_right():
    svg = chart([line(1.0, 3.0)], across="step")

    (path,) = re.findall(r'stroke="red" d="M([^"]*)"', svg)
    (x0, y0), (x1, y1) = (map(float, point.split()) for point in path.split("L"))
    assert x0 < x1
    assert y0 > y1


@pytest.mark.parametrize("values", [(), (math.nan,), (math.inf, math.nan)])
def test_without_a_number_there_is_no_chart(values):
    assert chart([line(*values)], across="step") == ""


def test_a_logarithmic_chart_leaves_out_what_has_no_logarithm():
    assert chart([line(0.0, -1.0)], across="step", log=True) == ""
    assert chart([line(0.0, 1.0, 100.0)], across="step", log=True).count("L") >= 1


def test_a_single_value_is_a_dot():
    assert "<circle" in chart([line(5.0)], across="step")
    assert "<circle" not in chart([line(5.0, 5.0)], across="step")


def test_smoothing_is_an_average_without_a_bias_at_its_start():
    assert smoothed([(0, 4.0), (1, 4.0)], 0.9) == [(0, pytest.approx(4.0)), (1, pytest.approx(4.0))]
    assert smoothed([(0, 1.0), (1, 3.0)], 0.5)[1][1] == pytest.approx((0.25 * 1 + 0.5 * 3) / 0.75)
    assert smoothed([(0, 1.0), (1, math.nan), (2, 3.0)], 0.0) == [(0, 1.0), (2, 3.0)]


def test_thinning_keeps_the_extremes():
    points = [(float(x), float(x % 7)) for x in range(10_000)]
    points[5000] = (5000.0, 99.0)

    kept = thinned(points)

    assert len(kept) <= 1300
    assert (5000.0, 99.0) in kept
    assert kept == sorted(kept)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0, 240, [0, 50, 100, 150, 200]), (-1, 1, [-1, -0.5, 0, 0.5, 1])],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)
