"""Curves as one line of text, for assertion messages and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(curve: Sequence[float], width: int) -> str:
    """A curve by layer as at most `width` block characters, zero drawn in place.

    Neighbouring layers that share a character show the value furthest from zero, so that a sharp
    drop survives. A flat line at zero stays a flat line: the scale never blows up rounding noise.

    >>> sparkline([0.0, -0.5, 0.0], 3)
    '█▁█'
    """
    values = [_furthest(part) for part in _parts(curve, width)]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    low, high = min(0.0, *finite), max(0.0, *finite)
    span = max(high - low, 0.02)
    return "".join(_block(value, low if low < 0 else high - span, span) for value in values)


def _block(value: float, low: float, span: float) -> str:
    if not math.isfinite(value):
        return " "
    share = (value - low) / span
    return BLOCKS[min(len(BLOCKS) - 1, max(0, round(share * (len(BLOCKS) - 1))))]


def _parts(curve: Sequence[float], width: int) -> list[Sequence[float]]:
    count = min(width, len(curve))
    edges = [round(i * len(curve) / count) for i in range(count + 1)] if count else [0]
    return [curve[a:b] for a, b in pairwise(edges)]


def _furthest(values: Sequence[float]) -> float:
    return max(values, key=lambda value: abs(value) if math.isfinite(value) else -1.0)
