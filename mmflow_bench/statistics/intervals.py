"""Intervals and p-values from bootstrap replicates.

BCa is Efron's bias-corrected and accelerated interval. scipy's `bootstrap(method="BCa")` computes
the same from samples; here replicates and jackknife values come from shared image weights, so that
estimates are paired and layers share the resampling. The two are tested to agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import ndtr, ndtri, stdtr, stdtrit


@dataclass(frozen=True, slots=True)
class Interval:
    """Two bounds, low <= high."""

    low: float
    high: float

    def widened(self, value: float, floor: float) -> Interval:
        """The interval, reaching at least `floor` to both sides of `value`.

        A constant sample has a point interval; nothing is known more exactly than the instrument
        measures.
        """
        return Interval(min(self.low, value - floor), max(self.high, value + floor))


@dataclass(frozen=True, slots=True)
class Correction:
    """How a bootstrap distribution lies to the sampling distribution: BCa's two constants."""

    bias: float = 0.0
    """z0: normal quantile of the share of replicates below the estimate."""
    acceleration: float = 0.0
    """a: from the skewness of the jackknife values."""
    images: int | None = None
    """Of so many images replicates spread too little: by the root of (n - 1) / n, and as a normal
    curve where t is due. None for infinitely many."""

    def level(self, alpha: float) -> float:
        """The quantile of the replicates that bounds the parameter at one-sided `alpha`."""
        z = self.bias + self._widened(float(ndtri(alpha)))
        return float(ndtr(self.bias + z / (1 - self.acceleration * z)))

    def alpha(self, z: float) -> float:
        """The inverse of `level`, for a quantile given as a normal deviate."""
        shifted = z - self.bias
        inner = shifted / (1 + self.acceleration * shifted) - self.bias
        if self.images is None:
            return float(ndtr(inner))
        scale = (self.images / (self.images - 1)) ** 0.5
        return float(stdtr(self.images - 1, inner / scale))

    def _widened(self, z: float) -> float:
        """The deviate that t has where the normal curve has `z` (Hesterberg 2015)."""
        if self.images is None:
            return z
        scale = (self.images / (self.images - 1)) ** 0.5
        return float(scale * stdtrit(self.images - 1, ndtr(z)))


def bca_correction(
    value: float,
    replicates: Float[ndarray, "draw"],
    jackknife: Float[ndarray, "group"],
    *,
    images: int | None = None,
) -> Correction:
    """BCa's constants; no correction where they are not defined.

    With a number of `images` the interval is widened for having few.
    """
    share = (np.mean(replicates < value) + np.mean(replicates <= value)) / 2
    deviations = jackknife.mean() - jackknife
    spread = float((deviations**2).sum())
    if not 0 < share < 1 or not np.isfinite(spread):
        return Correction(images=images)
    skewness = float((deviations**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    return Correction(bias=float(ndtri(share)), acceleration=skewness, images=images)


def interval(
    replicates: Float[ndarray, "draw"], correction: Correction, *, alpha: float
) -> Interval:
    """The two-sided 1 - alpha interval: percentile, or BCa with `bca_correction`."""
    levels = [correction.level(alpha / 2), correction.level(1 - alpha / 2)]
    low, high = np.quantile(replicates, sorted(levels))
    return Interval(float(low), float(high))


def confidence_below(
    threshold: float, replicates: Float[ndarray, "draw"], correction: Correction, *, floor: float
) -> float:
    """One-sided confidence that the parameter is below `threshold`, between 0 and 1.

    It is at least 1 - alpha / 2 exactly where the upper bound of the two-sided 1 - alpha interval
    is below the threshold, and at most alpha / 2 where the lower bound is above it. The replicates
    are known no more exactly than `floor`.
    """
    count = int((replicates < threshold).sum())
    if 0 < count < len(replicates):
        return correction.alpha(float(ndtri(count / len(replicates))))
    # Beyond all replicates: their normal curve tells far from very far, as Holm's step needs.
    spread = max(float(replicates.std()), floor / 2)
    distance = threshold - float(replicates.mean())
    if spread == 0:
        return 0.5 + 0.5 * float(np.sign(distance))
    return float(ndtr(distance / spread))
