"""Numbers and curves as text: changes and probabilities in percent, a curve as one line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
PERCENT_UNITS = frozenset({"fraction", "probability", "accuracy", "relative change", "percent"})


def formatted(value: float | None, unit: str, *, is_aligned: bool = False) -> str:
    """A number as a reader wants it; nothing where there is none.

    >>> formatted(-0.3, "fraction"), formatted(-0.2884, "fraction"), formatted(0.35, "depth")
    ('-30%', '-28.8%', '0.35')
    >>> formatted(-0.3, "fraction", is_aligned=True), formatted(None, "depth")
    ('-30.0%', '')

    The unit decides about percent and digits. With `is_aligned` the number of decimals is always
    the same, for the columns of a table.
    """
    if value is None:
        return ""
    if unit in PERCENT_UNITS:
        return f"{_aligned(100 * value, 1) if is_aligned else _short(100 * value, 1)}%"
    if is_aligned:
        return _aligned(value, 2) if abs(value) < 100 else f"{value:.4g}"
    return _short(value, 2)


def _aligned(value: float, digits: int) -> str:
    # Adding zero makes a negative zero positive.
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _short(value: float, digits: int) -> str:
    if not math.isfinite(value) or (value and abs(value) < 0.5 * 10**-digits):
        return f"{value:.1g}"
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def bounds(low: float | None, high: float | None, unit: str) -> str:
    """An interval, short enough for a table; nothing where there is none.

    >>> bounds(-0.4, -0.2, "fraction")
    '[-40.0, -20.0%]'
    """
    if low is None or high is None:
        return ""
    ends = [formatted(end, unit, is_aligned=True) for end in (low, high)]
    return f"[{ends[0].removesuffix('%')}, {ends[1]}]"


def counted(n: int | None, images: int | None) -> str:
    """How many samples, and of how many images; nothing where there are none.

    >>> counted(14, 10), counted(14, None)
    ('14/10', '14')
    """
    if n is None:
        return ""
    return str(n) if images is None else f"{n}/{images}"


def several(count: int, what: str) -> str:
    """How many of something, in words.

    >>> several(1, "verdict"), several(3, "verdict")
    ('1 verdict', '3 verdicts')
    """
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


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
