"""Curves as SVG, drawn here: a page that needs nothing beside itself."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 420, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 10, 34
_MOST = 1200
"""Points of a line; of more, the lowest and highest of each stretch are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart.

    Attributes:
        name: For its legend.
        points: In order of x.
        color: A CSS color.
        faint: Drawn thin and pale, as what another line smooths.
        dotted: Its points are marked: they are few.
    """

    name: str
    points: Points
    color: str
    faint: bool = False
    dotted: bool = False


def chart(lines: Sequence[Line], *, across: str, log: bool = False) -> str:
    """Return the SVG of a chart; empty if no line has a point that can be drawn.

    Args:
        lines: The lines. Values that are no numbers are left out, with ``log`` those that are not positive, too.
        across: What goes from left to right, as in ``step``.
        log: Whether the vertical axis is logarithmic.
    """
    kept = [(line, [(x, y) for x, y in line.points if math.isfinite(y) and (y > 0 or not log)]) for line in lines]
    kept = [(line, points) for line, points in kept if points]
    if not kept:
        return ""
    xs = [x for _, points in kept for x, _ in points]
    ys = [math.log10(y) if log else y for _, points in kept for _, y in points]
    (x0, x1), (y0, y1) = _span(min(xs), max(xs), margin=0.0), _span(min(ys), max(ys), margin=0.05)

    def place(x: float, y: float) -> tuple[float, float]:
        y = math.log10(y) if log else y
        across = _LEFT + (x - x0) / (x1 - x0) * (_WIDTH - _LEFT - _RIGHT)
        return across, _HEIGHT - _BOTTOM - (y - y0) / (y1 - y0) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">']
    for y in ticks(y0, y1):
        _, height = place(x0, 10**y if log else y)
        parts.append(f'<path class="grid" d="M{_LEFT} {height:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(
            f'<text x="{_LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{_number(10**y if log else y)}</text>'
        )
    for x in ticks(x0, x1):
        at, _ = place(x, 1 if log else y0)
        parts.append(f'<text x="{at:.1f}" y="{_HEIGHT - 18}" text-anchor="middle">{_number(x)}</text>')
    parts.append(
        f'<text class="axis" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 3}" text-anchor="end">{escape(across)}</text>'
    )
    for line, points in kept:
        drawn = [place(x, y) for x, y in thinned(points)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in drawn)
        kind = "line faint" if line.faint else "line"
        parts.append(
            f'<path class="{kind}" stroke="{line.color}" d="M{path}"><title>{escape(line.name)}</title></path>'
        )
        if line.dotted or len(drawn) == 1:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{line.color}"/>' for x, y in drawn]
    return "".join([*parts, "</svg>"])


def smoothed(points: Points, weight: float) -> list[tuple[float, float]]:
    """Smooth values: an exponential average, corrected for its start.

    Args:
        points: In order of x.
        weight: Of the average before; 0 smooths nothing.
    """
    average, total, result = 0.0, 0.0, []
    for x, y in points:
        if math.isfinite(y):
            average = weight * average + (1 - weight) * y
            total = weight * total + (1 - weight)
            result.append((x, average / total))
    return result


def thinned(points: Points) -> Points:
    """Leave out points that nobody would see: of each stretch the lowest and the highest stay."""
    if len(points) <= _MOST:
        return points
    size = math.ceil(2 * len(points) / _MOST)
    kept: list[tuple[float, float]] = []
    for first in range(0, len(points), size):
        stretch = points[first : first + size]
        kept += sorted({min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])})
    return kept


def ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two, about five of them."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _span(low: float, high: float, *, margin: float) -> tuple[float, float]:
    if high - low < 1e-12 * max(abs(high), 1e-12):
        room = abs(high) * 0.1 or 1.0
        return low - room, high + room
    return low - margin * (high - low), high + margin * (high - low)


def _number(value: float) -> str:
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}"
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"
