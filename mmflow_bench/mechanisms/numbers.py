"""Numbers as readers want them: changes and probabilities in percent."""

from __future__ import annotations

import math

PERCENT_UNITS = frozenset({"fraction", "probability", "accuracy", "relative change", "percent"})


def formatted(value: float | None, unit: str, *, is_aligned: bool = False) -> str:
    """A number as a reader wants it; nothing where there is none.

    >>> formatted(-0.3, "fraction"), formatted(-0.2884, "fraction"), formatted(0.35, "depth")
    ('-30%', '-28.8%', '0.35')
    >>> formatted(-0.3, "fraction", is_aligned=True), formatted(None, "depth")
    ('-30.0%', '')

    Args:
        value: The number.
        unit: Of the number, which decides about percent and digits.
        is_aligned: Always with the same number of decimals, for the columns of a table.
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
