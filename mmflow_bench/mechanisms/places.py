"""Where a drop is: the layers at which it is shown, and where an unseen image may have it instead.

Noise makes small drops of layers that have none, and these pull every centre to the middle. So a
place is read off the layers alone whose drop is shown beyond noise, and there is none, and no
verdict on it, while no drop is shown (docs/decisions/021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from mmflow_bench.statistics.curves import shown_drops
from mmflow_bench.statistics.resampling import ImageMeans, bootstrap_weights
from mmflow_bench.statistics.simultaneous import deviations

NOT_SHOWN = "no drop is shown beyond noise, so none has a place"


@dataclass(frozen=True, slots=True, eq=False)
class Drop:
    """The layers of a drop."""

    layers: Bool[ndarray, "layer"]
    """Those at which it is shown."""
    possible: Bool[ndarray, "layer"]
    """Those at which the opposite, a rise, is not shown: what is not shown may still be there."""
    early: Float[ndarray, "layer"]
    late: Float[ndarray, "layer"]
    """Curves of an image that drops as much as the others, but at the first or the last layers."""
    obstacle: str = ""
    """Why the drop has no place, where there may be one."""


def drop_of(
    means: ImageMeans, columns: list[int], *, width: int, floor: float, alpha: float
) -> Drop:
    """The drop of a mean curve within some layers.

    Args:
        means: Curves of samples.
        columns: The layers looked at, ascending.
        width: Of the knocked-out window, in layers: as wide is the drop of one layer.
        floor: Drops up to this are no drops of the checkpoint's.
        alpha: Error rate at which a drop is shown, over all layers together.
    """
    mean, images = means.mean[columns], len(means.images)
    error, times = np.zeros(len(columns)), 0.0
    if images > 1:
        draws = means.curves(bootstrap_weights(images))[:, columns]
        spread = deviations(mean, draws, images=images)
        error, times = spread.error, float(np.quantile(spread.largest, 1 - 2 * alpha))
    inner = shown_drops(mean, error, times=times, floor=floor)
    is_hidden = not inner.any() and bool((mean < -floor).any())
    if is_hidden:
        inner = mean < -floor
    layers, possible = (np.zeros(means.mean.shape, dtype=bool) for _ in range(2))
    layers[columns] = inner
    possible[columns] = ~shown_drops(-mean, error, times=times, floor=floor)
    reach = min(width, len(columns))
    each = -min(1.0, float(-mean[inner].sum()) / reach)
    early, late = np.zeros(means.mean.shape), np.zeros(means.mean.shape)
    early[columns[:reach]], late[columns[-reach:]] = each, each
    return Drop(layers, possible, early, late, NOT_SHOWN if is_hidden else "")
