"""Rises of a curve, read as its drops are: of cuts that make the answer more probable.

Taking away what speaks for a wrong answer helps the right one, as the paper sees where the last
position is cut off from the false option (App. J.1).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmflow_bench.mechanisms.curves import Curve
    from mmflow_bench.mechanisms.estimates import Estimate


def rises(curve: Curve) -> Curve:
    """The curve with its sign turned, so that places and presence are those of its rises."""
    least, greatest = curve.ends
    return replace(
        curve,
        name=f"rises of {curve.name}",
        values=-curve.values,
        ends=(-greatest, -least),
        beyond=None,
    )


def rise(curve: Curve) -> Estimate:
    """The highest rise where the curve is looked at, positive and cross-fitted as its peak is."""
    highest = -1.0 * rises(curve).peak
    name = highest.name.replace("-1 x peak of rises of", "highest rise of")
    return replace(highest, name=name, curve=curve.mean)
