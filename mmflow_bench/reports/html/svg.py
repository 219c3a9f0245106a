"""Curves as inline SVG: no script, no font, no request, and the same bytes for the same data.

Colours come from classes (`s0`, `s1`, ...) that the style sheet fills in for light and dark; each
series has a symbol and a dash of its own, so that none is told apart by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mmflow_bench.reports.html.figures import Figure, Panel, Series

STYLES = 8
"""As many colours as the style sheet has."""
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4", "4 2 1 2 1 2", "3 1")
_SHAPES = {
    "circle": "M{0} {1}m-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0",
    "square": "M{0} {1}m-3 -3h6v6h-6z",
    "triangle": "M{0} {1}m0 -4l4 7h-8z",
    "diamond": "M{0} {1}m0 -4l4 4l-4 4l-4 -4z",
    "plus": "M{0} {1}m-1 -4h2v3h3v2h-3v3h-2v-3h-3v-2h3z",
    "cross": "M{0} {1}m-3 -4l3 3l3 -3l1 1l-3 3l3 3l-1 1l-3 -3l-3 3l-1 -1l3 -3l-3 -3z",
    "bar": "M{0} {1}m-1 -4h2v8h-2z",
    "ring": "M{0} {1}m-4 -1h8v2h-8z",
}
SYMBOLS = tuple(_SHAPES)
_WIDTH, _HEIGHT = 320, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 10, 34
_TICKS = (0.1, 0.2, 0.25, 0.5)
_EVERY = 5
"""Layers between two symbols of one series."""


@dataclass(frozen=True, slots=True)
class _Axes:
    low: float
    high: float
    first: int
    count: int

    def x(self, index: float) -> float:
        inside = _WIDTH - _LEFT - _RIGHT
        return _LEFT + inside * index / max(1, self.count - 1)

    def y(self, value: float) -> float:
        inside = _HEIGHT - _TOP - _BOTTOM
        share = (self.high - min(max(value, self.low), self.high)) / (self.high - self.low)
        return _TOP + inside * share


def panel_svg(panel: Panel, figure: Figure) -> Markup:
    axes = _axes(panel, figure)
    behind = [_band(series, axes) for series in panel.series]
    lines = [_line(series, axes) for series in panel.series]
    parts = [_grid(axes, figure), *behind, *lines]
    return Markup(
        '<svg class="panel" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(_WIDTH, _HEIGHT, _spoken(panel, figure), Markup("").join(parts))


def swatch(series: Series) -> Markup:
    return Markup(
        '<svg class="swatch" viewBox="0 0 34 12" aria-hidden="true">'
        '<line class="line {}" x1="1" y1="6" x2="33" y2="6" stroke-dasharray="{}"/>{}</svg>'
    ).format(_classes(series), DASHES[series.style % STYLES], _symbol(series, 17, 6))


def sparkline(values: Sequence[float]) -> Markup:
    """A curve as small as a word; empty where nothing is known."""
    known = [value for value in values if math.isfinite(value)]
    if len(known) < 2:
        return Markup("")
    low, high = min(*known, 0.0), max(*known, 0.0)
    span = (high - low) or 1.0
    points = " ".join(
        f"{100 * i / (len(values) - 1):.1f},{2 + 20 * (high - value) / span:.1f}"
        for i, value in enumerate(values)
        if math.isfinite(value)
    )
    zero = f"{2 + 20 * high / span:.1f}"
    return Markup(
        '<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">'
        '<line class="axis" x1="0" x2="100" y1="{0}" y2="{0}"/><polyline points="{1}"/></svg>'
    ).format(zero, points)


def _axes(panel: Panel, figure: Figure) -> _Axes:
    values = [
        value
        for series in panel.series
        for value in (*series.values, *series.low, *series.high)
        if math.isfinite(value)
    ]
    # Zero is always in sight, or the size of a change could not be seen.
    low, high = min([*values, 0.0]), max([*values, 0.0])
    if figure.y_label == "probability":
        low, high = 0.0, 1.0
    # A flat curve is drawn as flat: noise is not blown up to the height of the panel.
    margin = max(0.02, 0.05 * (high - low))
    if high - low < 0.1 and figure.y_label != "probability":
        low, high = min(low, -0.1), max(high, 0.05)
    count = max((len(series.values) for series in panel.series), default=1)
    return _Axes(low - margin, high + margin, figure.first, count)


def _grid(axes: _Axes, figure: Figure) -> Markup:
    rule = Markup('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>')
    text = Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>')
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for value in _ticks(axes.low, axes.high):
        y = axes.y(value)
        kind = "zero" if abs(value) < 1e-9 else "grid"
        parts.append(rule.format(kind, _LEFT, right, f"{y:.1f}", f"{y:.1f}"))
        parts.append(text.format("tick", _LEFT - 4, f"{y + 3:.1f}", "end", _percent(value)))
    for index in marked(axes.count, axes.first):
        x = f"{axes.x(index):.1f}"
        parts.append(text.format("tick", x, bottom + 13, "middle", index + axes.first))
    middle = f"{(_LEFT + right) / 2:.0f}"
    parts.append(text.format("label", middle, _HEIGHT - 5, "middle", figure.x_label))
    return Markup("").join(parts)


def _ticks(low: float, high: float) -> list[float]:
    step = next((step for step in _TICKS if (high - low) / step <= 5), None)
    if step is None:
        step = 10 ** math.ceil(math.log10((high - low) / 5))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def marked(count: int, first: int) -> list[int]:
    """Indices that get a label: round layers, seven of them at most."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 10**9) if count / step <= 7)
    return [index for index in range(count) if (index + first) % step == 0]


def _band(series: Series, axes: _Axes) -> Markup:
    if not series.low:
        return Markup("")
    there, back = _points(series.high, axes), _points(series.low, axes)[::-1]
    return Markup('<polygon class="band {}" points="{}"/>').format(
        _classes(series), _path([*there, *back])
    )


def _line(series: Series, axes: _Axes) -> Markup:
    points = _points(series.values, axes)
    # Each style begins at another layer, so that symbols of equal curves do not hide each other.
    marked = [] if series.is_baseline else points[series.style % _EVERY :: _EVERY]
    return Markup('<polyline class="line {}" points="{}" stroke-dasharray="{}"/>{}').format(
        _classes(series),
        _path(points),
        DASHES[series.style % STYLES],
        Markup("").join(_symbol(series, x, y) for x, y in marked),
    )


def _points(values: Sequence[float], axes: _Axes) -> list[tuple[float, float]]:
    return [(axes.x(i), axes.y(value)) for i, value in enumerate(values) if math.isfinite(value)]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _symbol(series: Series, x: float, y: float) -> Markup:
    path = _SHAPES[SYMBOLS[series.style % STYLES]].format(f"{x:.1f}", f"{y:.1f}")
    return Markup('<path class="symbol {}" d="{}"/>').format(_classes(series), path)


def _classes(series: Series) -> str:
    kind = f"s{series.style % STYLES}"
    return f"{kind} behind" if series.is_baseline else kind


def _percent(value: float) -> str:
    return f"{100 * value + 0.0:.0f}%".replace("-", "\N{MINUS SIGN}")


def _spoken(panel: Panel, figure: Figure) -> str:
    """The panel in a sentence, for those who do not see it."""
    said = []
    for series in panel.series:
        known = [(value, i) for i, value in enumerate(series.values) if math.isfinite(value)]
        if known:
            value, index = max(known, key=lambda pair: (abs(pair[0]), -pair[1]))
            said.append(f"{series.name}: {_percent(value)} at layer {index + figure.first}")
    return f"{panel.title}, {figure.y_label}, largest value: {'; '.join(said)}"
