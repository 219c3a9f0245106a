"""How alike two curves of the same images are: their correlation over layers."""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from mmflow_bench.statistics.association import correlation
from mmflow_bench.statistics.resampling import (
    ImageMeans,
    ImageStatistic,
    Means,
    Numbers,
    Weights,
    between,
)


def correlation_of(one: ImageMeans, other: ImageMeans, *, counts_unseen: bool) -> ImageStatistic:
    """Pearson's correlation over layers of two mean curves of the same images.

    The worst unseen image loses everything at the layers at which the other curve has no drop, and
    nothing where it has one; the best has either drop where the other one is.
    """
    ends = None
    if counts_unseen:
        theirs = _is_deep(other), _is_deep(one)
        apart = (one.with_unseen(-1.0 * ~theirs[0]), other.with_unseen(-1.0 * ~theirs[1]))
        alike = (one.with_unseen(-1.0 * theirs[0]), other.with_unseen(-1.0 * theirs[1]))
        ends = between(partial(_correlation, *apart), partial(_correlation, *alike))
    return ImageStatistic(one.images, partial(_correlation, one, other), ends)


def _correlation(one: Means, other: Means, weights: Weights) -> Numbers:
    return correlation(one.curves(weights), other.curves(weights))


def _is_deep(means: ImageMeans) -> Bool[ndarray, "layer"]:
    """Where the mean curve is nearer to its lowest than to its highest value."""
    mean: Float[ndarray, "layer"] = means.mean
    return np.asarray(mean < (mean.min() + mean.max()) / 2)
