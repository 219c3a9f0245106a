"""How alike two mean curves of the same images are, whatever their sizes."""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.statistics.association import correlation
from mmflow_bench.statistics.resampling import (
    ImageMeans,
    ImageStatistic,
    Means,
    Weights,
    between,
)


def correlation_of(
    one: ImageMeans, other: ImageMeans, *, floor: float, counts_unseen: bool
) -> ImageStatistic:
    """The correlation over layers of two mean curves, as a function of image weights.

    The worst unseen image loses everything, in one curve where both drop and in the other where
    neither does; the best one loses it where both drop, in both.
    """
    ends = None
    if counts_unseen:
        shared = (one.mean + other.mean) / 2
        where = np.where(shared < shared.mean(), -1.0, 0.0)
        elsewhere = -1.0 - where
        apart = one.with_unseen(elsewhere), other.with_unseen(where)
        astray = one.with_unseen(where), other.with_unseen(elsewhere)
        alike = one.with_unseen(where), other.with_unseen(where)

        def lowest(weights: Weights) -> Float[ndarray, "draw"]:
            both = [_correlation(*pair, weights, floor=floor) for pair in (apart, astray)]
            return np.asarray(np.fmin(*both))

        ends = between(lowest, partial(_correlation, *alike, floor=floor))
    return ImageStatistic(one.images, partial(_correlation, one, other, floor=floor), ends)


def _correlation(
    one: Means, other: Means, weights: Weights, *, floor: float
) -> Float[ndarray, "draw"]:
    return correlation(one.curves(weights), other.curves(weights), floor=floor)
