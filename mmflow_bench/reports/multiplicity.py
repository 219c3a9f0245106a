"""Corrections for testing many mechanisms in one run (STATISTICS: Holm, Benjamini-Hochberg)."""

from __future__ import annotations

from collections.abc import Sequence


def survives(p_values: Sequence[float], *, method: str, alpha: float) -> list[bool]:
    """Which null hypotheses stay rejected after the correction, in the order given.

    Args:
        p_values: One for each verdict of the run.
        method: `none`, `holm` (family-wise error) or `bh` (false discovery rate).
        alpha: The error rate.

    >>> survives([0.01, 0.04, 0.03], method="holm", alpha=0.05)
    [True, False, False]
    >>> survives([0.01, 0.04, 0.03], method="bh", alpha=0.05)
    [True, True, True]

    Raises:
        ValueError: The method is unknown.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    count = len(p_values)
    if method == "none":
        kept = sum(p <= alpha for p in p_values)
    elif method == "holm":
        passes = [p_values[i] <= alpha / (count - rank) for rank, i in enumerate(order)]
        kept = passes.index(False) if False in passes else count
    elif method == "bh":
        ranks = [r for r, i in enumerate(order, 1) if p_values[i] <= alpha * r / count]
        kept = max(ranks, default=0)
    else:
        raise ValueError(f"a correction is none, holm or bh, got {method!r}")
    rejected = set(order[:kept])
    return [i in rejected for i in range(count)]
