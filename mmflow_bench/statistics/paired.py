"""Two measurements of the same samples: did it move by more than a margin, or by less?

Neither question is the other's negation: a wide interval answers neither. "Less" is equivalence by
two one-sided tests, "more" is a test against the margin and not against zero, so that many samples
do not turn a difference that nobody minds into a change (docs/decisions/015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import ndtri

from mmflow_bench.statistics.intervals import Correction, confidence_below

SATURATED = 1e-6
"""Probabilities closer than this to 0 or 1 have the log-odds of this: float32 tells no more."""


@dataclass(frozen=True, slots=True)
class MarginTest:
    """A paired difference against +-margin."""

    p_inside: float
    """Of the hypothesis that the difference is as large as the margin: small when it is less."""
    p_beyond: float
    """Of the hypothesis that it is within the margin: small when it is more."""


def margin_test(
    replicates: Float[ndarray, "draw"], correction: Correction, *, margin: float, floor: float
) -> MarginTest:
    """Both questions, from the bootstrap replicates of a difference.

    `p_inside` is the larger of two one-sided p-values (equivalence); `p_beyond` is the smaller of
    two, doubled, since either side would count as a change.

    The margin is the largest difference that counts as none, in the difference's unit; replicates,
    of which there is at least one, are known no more exactly than `floor`.
    """
    above_low = 1 - confidence_below(-margin, replicates, correction, floor=floor)
    below_high = confidence_below(margin, replicates, correction, floor=floor)
    return MarginTest(
        p_inside=max(1 - above_low, 1 - below_high),
        p_beyond=min(1.0, 2 * min(above_low, below_high)),
    )


def samples_needed(
    difference: float,
    low: float | None,
    high: float | None,
    n: int,
    margin: float,
    *,
    alpha: float = 0.05,
) -> int | None:
    """About how many independent samples would decide a difference that is as large as it seems.

    The interval becomes narrower by 1 / sqrt(n) until it keeps to one side of the margin. However
    little the samples vary, n of them alike leave a share of 1 - alpha^(1/n) that may be otherwise
    and lose everything, so that a difference within the margin takes as many as that allows.

    >>> samples_needed(0.0, -0.2, 0.2, 20, 0.1), samples_needed(0.0, 0.0, 0.0, 14, 0.05)
    (57, 59)

    Args:
        difference: As measured.
        low: Lower bound of its two-sided 1 - alpha interval; None where it has no interval.
        high: Upper bound.
        n: Independent samples (images) that it was measured on.
        margin: The largest difference that counts as none, between 0 and 1, in the same unit.
        alpha: Error rate.

    Returns:
        None where the difference is the margin itself, or nothing says how it scatters.
    """
    fewest = fewest_alike(margin, alpha)
    if low is None or high is None:
        return fewest if abs(difference) < margin else None
    room = abs(margin - abs(difference))
    half = (high - low) / 2
    if abs(difference) < margin:
        # Equivalence is shown by the 1 - 2 alpha interval, which is narrower.
        half *= float(ndtri(alpha) / ndtri(alpha / 2))
    if half == 0:
        return fewest
    if room <= half * 1e-3:
        return None
    return max(fewest, math.ceil(n * (half / room) ** 2))


def fewest_alike(margin: float, alpha: float) -> int:
    """The fewest samples that, all alike, show that less than `margin` of them differ.

    >>> fewest_alike(0.05, 0.05), fewest_alike(0.1, 0.05)
    (59, 29)
    """
    return math.ceil(math.log(alpha) / math.log1p(-margin))


def log_odds_change(
    base_probability: Float[ndarray, "sample"], relative_change: Float[ndarray, "sample layer"]
) -> Float[ndarray, "sample layer"]:
    """Change of the log-odds of a probability that changes by a fraction of itself.

    A checkpoint that is only surer of its answers drops by a smaller fraction when the same edge is
    cut, because its probability is saturated; its log-odds drop by as much as before.

    >>> change = log_odds_change(np.array([0.5]), np.array([[-0.5]]))
    >>> round(float(change[0, 0]), 4) == round(float(np.log(1 / 3)), 4)
    True
    """
    knocked_out = base_probability[:, None] * (1 + relative_change)
    return np.asarray(_log_odds(knocked_out) - _log_odds(base_probability)[:, None])


def _log_odds(probability: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    inner = np.clip(probability, SATURATED, 1 - SATURATED)
    return np.asarray(np.log(inner) - np.log1p(-inner))
