"""The mean of one number for each sample, as an estimate over images."""

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
    alpha: float,
    lowest: float,
    highest: float,
    floor: float = 0.0,
) -> Estimate:
    """The mean over samples, whose images are drawn again.

    Args:
        values: One for each sample.
        image_ids: One for each sample; equal ids form one cluster.
        name: What it is, for readers.
        unit: As `Estimate` has it.
        alpha: Error rate of the interval.
        lowest: The least that an image which was not seen may have.
        highest: The most.
        floor: How exactly the instrument knows the mean.
    """
    means = image_means(values[:, None], image_ids)
    worst, best = (means.with_unseen(np.array([end])) for end in (lowest, highest))
    return Estimate(
        source=ImageStatistic(
            means.images,
            partial(_only_column, means),
            between(partial(_only_column, worst), partial(_only_column, best)),
        ),
        name=name,
        unit=unit,
        n=len(values),
        alpha=alpha,
        floor=floor,
    )


def _only_column(means: Means, weights: Weights) -> Float[ndarray, "draw"]:
    return means.curves(weights)[:, 0]
