"""Several tests as one statement: "all", "most", and corrections for asking much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import betainc, betaincinv

from mmflow_bench.statistics.intervals import Interval


def intersection_union(p_values: Sequence[float]) -> float:
    """The p-value of "all of them": the largest; asking for all needs no correction.

    >>> intersection_union([0.01, 0.04])
    0.04
    """
    return max(p_values)


def partial_conjunction(
    p_values: Sequence[float], required: int, *, is_positive: bool = False
) -> float:
    """The p-value of "at least `required` of them".

    Benjamini and Heller 2008 (Biometrics 64, 1215): of the p-values that remain when the
    `required - 1` smallest are set aside, the smallest times their number (Bonferroni), which is
    valid under any dependence. Where small p-values never make others larger (`is_positive`),
    Simes' form is valid, which is sharper where several are about equally small: the i-th smallest
    times their number over i, at its least.

    >>> partial_conjunction([0.01, 0.9, 0.02, 0.01], 3)
    0.04
    >>> partial_conjunction([0.04, 0.04, 0.04, 0.04, 0.04], 4, is_positive=True)
    0.04

    Raises:
        ValueError: More are required than there are.
    """
    if not 1 <= required <= len(p_values):
        raise ValueError(f"1 to {len(p_values)} tests can be required, got {required}")
    rest = sorted(p_values)[required - 1 :]
    ranks = range(1, len(rest) + 1) if is_positive else [1]
    return min(1.0, *(len(rest) / rank * rest[rank - 1] for rank in ranks))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: those at most alpha are rejected with family-wise error alpha.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    scaled = np.arange(len(p_values), 0, -1) * np.asarray(p_values)[order]
    # Back into the order given: the inverse of a permutation is what sorts it.
    adjusted: list[float] = np.maximum.accumulate(np.minimum(1.0, scaled))[order.argsort()].tolist()
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: those at most alpha are rejected with false discovery rate alpha.

    >>> [round(p, 3) for p in benjamini_hochberg([0.01, 0.04, 0.03])]
    [0.03, 0.04, 0.04]
    """
    order = np.argsort(p_values, kind="stable")[::-1]
    scaled = len(p_values) / np.arange(len(p_values), 0, -1) * np.asarray(p_values)[order]
    adjusted: list[float] = np.minimum.accumulate(np.minimum(1.0, scaled))[order.argsort()].tolist()
    return adjusted


ADJUSTED = {"holm": holm, "bh": benjamini_hochberg}
"""Corrections for testing many mechanisms in one run, by the names of --multiplicity."""


def survives(p_values: Sequence[float], *, method: str, alpha: float) -> list[bool]:
    """Which null hypotheses stay rejected after a correction, in the order given."""
    if method not in ADJUSTED:
        raise ValueError(f"a correction is holm or bh, got {method!r}")
    return [p <= alpha for p in ADJUSTED[method](p_values)]


def clopper_pearson(successes: int, trials: int, *, alpha: float) -> Interval:
    """The exact interval of a proportion: it misses with probability `alpha` at most.

    >>> clopper_pearson(24, 24, alpha=0.05).low.__round__(3)
    0.858

    Raises:
        ValueError: There are no trials.
    """
    if trials < 1:
        raise ValueError(f"a proportion needs at least one trial, got {trials}")
    low = betaincinv(successes, trials - successes + 1, alpha / 2) if successes else 0.0
    has_failed = successes < trials
    high = betaincinv(successes + 1, trials - successes, 1 - alpha / 2) if has_failed else 1.0
    return Interval(float(low), float(high))


def as_many(successes: int, trials: int, *, proportion: float) -> float:
    """Probability of at least so many successes at a proportion."""
    if successes == 0 or proportion >= 1:
        return 1.0
    return float(betainc(successes, trials - successes + 1, max(0.0, proportion)))
