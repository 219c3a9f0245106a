"""Thresholds that can be meant: a fraction, a probability and a depth lie within one of zero.

Percent are written as fractions. `<= 50` would hold of everything, and `>= 10` of nothing, with
neither an error nor a doubt.
"""

from __future__ import annotations

import math

from mmflow_bench.errors import MechanismError

WITHIN_ONE = {"fraction": "a fraction", "probability": "a probability", "depth": "a depth"}
"""Units whose values, and differences of values, lie between -1 and 1."""


def refuse_unmeant(*bounds: float, unit: str, of: str) -> None:
    """Refuse thresholds outside a unit's range; an infinite one stands for an open side.

    Args:
        bounds: Every number of a region.
        unit: Of the estimate that is compared.
        of: The estimate's name.

    Raises:
        MechanismError: A bound is no number, or no value of the unit can reach it.
    """
    for bound in bounds:
        is_reachable = unit not in WITHIN_ONE or math.isinf(bound) or abs(bound) <= 1
        if math.isnan(bound) or not is_reachable:
            kind = WITHIN_ONE.get(unit, f"a {unit}")
            expected = "a number" if math.isnan(bound) else "a threshold from -1 to 1"
            raise MechanismError(
                f"{expected} for {kind}, got {bound:g} ({of}){_advice(bound, unit)}"
            )


def refuse_empty(low: float, high: float, *, of: str) -> None:
    """Refuse a region that nothing lies in, such as one whose margin is negative.

    Raises:
        MechanismError: It ends before it begins.
    """
    if low > high:
        raise MechanismError(
            f"a range that ends where it begins or later, got {low:g} to {high:g} ({of}); exchange "
            "the two, or give a positive margin"
        )


def _advice(bound: float, unit: str) -> str:
    if math.isnan(bound):
        return "; check how it is computed"
    meant = [f"{bound / 100:g} for {bound:g}%"] if abs(bound) <= 100 else []
    if unit == "depth" and bound > 0:
        meant.append(f"{bound:g} / flow.layers for layer {bound:g}")
    return f"; write {' or '.join(meant)}" if meant else "; 1 is the whole"
