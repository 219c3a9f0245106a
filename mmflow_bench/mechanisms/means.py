"""The mean of a number over samples, as an estimate over their images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.statistics.resampling import (
    ImageStatistic,
    Means,
    Weights,
    between,
    image_means,
)


def sample_mean(
    values: Float[ndarray, "sample"],
    image_ids: Sequence[str],
    *,
    name: str,
    unit: str,
    bounds: tuple[float, float],
    alpha: float,
    floor: float = 0.0,
) -> Estimate:
    """The mean over samples, whose images are drawn again.

    Args:
        values: One for each sample.
        image_ids: One for each sample; equal ids form one cluster.
        name: For readers.
        unit: As estimates have it.
        bounds: The least and the most that an image which was not seen may have.
        alpha: Error rate of the interval.
        floor: How exactly the instrument knows the mean.
    """
    means = image_means(values[:, None], image_ids)
    lowest, highest = (means.with_unseen(np.array([end])) for end in bounds)
    return Estimate(
        source=ImageStatistic(
            means.images,
            partial(_only_column, means),
            between(partial(_only_column, lowest), partial(_only_column, highest)),
        ),
        name=name,
        unit=unit,
        n=len(values),
        alpha=alpha,
        floor=floor,
    )


def _only_column(means: Means, weights: Weights) -> Float[ndarray, "draw"]:
    return means.curves(weights)[:, 0]
