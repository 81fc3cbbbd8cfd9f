"""Draws a chart as a picture, for trackers that draw values over steps alone."""

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw

from recipe_runtime.watch.tracker import Chart


_SIZE = (416, 260)
_LEFT, _TOP, _RIGHT, _BOTTOM = 56, 16, 400, 216
"""Where the axes are, in pixels."""

_TICKS = 4
_INK, _GRID, _LINE = (40, 40, 40), (225, 225, 225), (30, 90, 200)


def drawn_chart(chart: Chart) -> tuple[tuple[int, int], bytes]:
    """Draw a chart: a line through its values, over axes that span them.

    Returns:
        Width and height in pixels, and a PNG.
    """
    image = Image.new("RGB", _SIZE, "white")
    pen = ImageDraw.Draw(image)
    places, values = _span(chart.places), _span((0.0, *chart.values))
    for tick in range(_TICKS + 1):
        part = tick / _TICKS
        across, along = _at(part, _LEFT, _RIGHT), _at(part, _BOTTOM, _TOP)
        pen.line([(across, _TOP), (across, _BOTTOM)], fill=_GRID)
        pen.line([(_LEFT, along), (_RIGHT, along)], fill=_GRID)
        pen.text((across, _BOTTOM + 4), _number(_at(part, *places)), fill=_INK, anchor="ma")
        pen.text((_LEFT - 4, along), _number(_at(part, *values)), fill=_INK, anchor="rm")
    pen.text(((_LEFT + _RIGHT) / 2, _SIZE[1] - 8), f"{chart.along} by {chart.across}", fill=_INK, anchor="ms")
    points = [
        (_at(_part(place, *places), _LEFT, _RIGHT), _at(_part(value, *values), _BOTTOM, _TOP))
        for place, value in zip(chart.places, chart.values, strict=True)
    ]
    for x, y in points:
        pen.ellipse([x - 2, y - 2, x + 2, y + 2], fill=_LINE)
    pen.line(points, fill=_LINE, width=2)
    file = io.BytesIO()
    image.save(file, format="PNG")
    return _SIZE, file.getvalue()


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low, low + 1)


def _at(part: float, first: float, last: float) -> float:
    return first + part * (last - first)


def _part(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low)


def _number(value: float) -> str:
    return f"{value:.3g}"
