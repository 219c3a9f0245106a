"""Whether two texts say the same, by figures that another processor rounds otherwise."""

from __future__ import annotations

import math
import re

TOLERANCE = 2e-3
FIGURE = re.compile(r"\d+\.\d+(?:e[+-]?\d+)?")


def says_the_same(old: str, new: str) -> bool:
    """The same text, but for figures that are within the tolerance of each other."""
    if FIGURE.sub("#", old) != FIGURE.sub("#", new):
        return False
    return all(map(_within, FIGURE.findall(old), FIGURE.findall(new)))


def _within(old: str, new: str) -> bool:
    """Or one apart in the last place that is printed."""
    digits = len(re.split(r"[.e]", old)[1])
    last_place = 1.01 * 10.0**-digits if "e" not in old else 0.0
    return math.isclose(
        float(old), float(new), rel_tol=TOLERANCE, abs_tol=max(TOLERANCE, last_place)
    )
