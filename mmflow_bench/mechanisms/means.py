"""The mean of a number over samples, as an estimate over their images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.statistics.betting import Drawn, Reading, wager_on
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
    drawn: Drawn | None = None,
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
        drawn: In which order the samples were drawn, where one looks at more and more of them.
    """
    means = image_means(values[:, None], image_ids)
    lowest, highest = (means.with_unseen(np.array([end])) for end in bounds)
    return Estimate(
        source=ImageStatistic(
            means.images,
            partial(_only_column, means),
            between(partial(_only_column, lowest), partial(_only_column, highest)),
            drawn.seen if drawn else None,
        ),
        name=name,
        unit=unit,
        n=len(values),
        alpha=alpha,
        floor=floor,
        # What more than doubles counts as that: a bound must not depend on what was seen.
        wager=wager_on(values[:, None], drawn, Reading.LOWEST, bounds=(bounds[0], 1.0)),
        looks=drawn.looks if drawn else 1.0,
    )


def _only_column(means: Means, weights: Weights) -> Float[ndarray, "draw"]:
    return means.curves(weights)[:, 0]
