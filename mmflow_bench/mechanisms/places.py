"""Where a drop is: the layers at which it is shown, and where an unseen image may have it instead.

Noise makes small drops of layers that have none, and these pull every centre to the middle. So a
place is read off the layers alone whose drop is shown beyond noise, and there is none, and no
verdict on it, while no drop is shown (docs/decisions/021).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from mmflow_bench.mechanisms.bands import hidden_by_noise
from mmflow_bench.statistics import curves as read
from mmflow_bench.statistics.resampling import (
    ImageMeans,
    ImageStatistic,
    Means,
    Weights,
    between,
    bootstrap_weights,
    size_of_set,
)
from mmflow_bench.statistics.simultaneous import deviations

Place = Callable[[read.Curves, read.Layers], read.Numbers]
"""A layer that is read off curves, of the layers that may count."""

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
    means: ImageMeans,
    columns: list[int],
    *,
    width: int,
    floor: float,
    alpha: float,
    seen: float | None = None,
) -> Drop:
    """The drop of a mean curve within some layers.

    Args:
        means: Curves of samples.
        columns: The layers looked at, ascending.
        width: Of the knocked-out window, in layers: as wide is the drop of one layer.
        floor: Drops up to this are no drops of the checkpoint's.
        alpha: Error rate at which a drop is shown, over all layers together.
        seen: Which share of a finite set of images these are; None of infinitely many.
    """
    mean, images = means.mean[columns], len(means.images)
    error, times = np.zeros(len(columns)), 0.0
    if images > 1:
        weights = bootstrap_weights(images, size_of_set(images, seen))
        draws = means.curves(weights)[:, columns]
        spread = deviations(mean, draws, images=images)
        error, times = spread.error, float(np.quantile(spread.largest, 1 - 2 * alpha))
    inner = read.shown_drops(mean, error, times=times, floor=floor)
    is_hidden = not inner.any() and bool((mean < -floor).any())
    if is_hidden:
        inner = mean < -floor
    layers, possible = (np.zeros(means.mean.shape, dtype=bool) for _ in range(2))
    layers[columns] = inner
    possible[columns] = ~read.shown_drops(-mean, error, times=times, floor=floor)
    reach = min(width, len(columns))
    each = -min(1.0, float(-mean[inner].sum()) / reach)
    early, late = np.zeros(means.mean.shape), np.zeros(means.mean.shape)
    early[columns[:reach]], late[columns[-reach:]] = each, each
    obstacle = NOT_SHOWN if is_hidden else hidden_by_noise(float(-mean.min()), floor)
    return Drop(layers, possible, early, late, obstacle)


def place_of(means: ImageMeans, drop: Drop, place: Place, *, counts_unseen: bool) -> ImageStatistic:
    """A place, of the layers at which a drop is shown.

    The worst unseen image has its drop at an end, and what is not shown may be there too.
    """
    ends = None
    if counts_unseen:
        early, late = (means.with_unseen(curve) for curve in (drop.early, drop.late))
        ends = between(
            partial(_read, early, place, drop.possible), partial(_read, late, place, drop.possible)
        )
    return ImageStatistic(means.images, partial(_read, means, place, drop.layers), ends)


def overlap_of(
    means: tuple[ImageMeans, ImageMeans],
    drops: tuple[Drop, Drop],
    *,
    floor: float,
    counts_unseen: bool,
) -> ImageStatistic:
    """The overlap of two drops of the same images, at the layers at which each is shown.

    Its upper bound counts what is not shown as well, and an unseen image that has either drop where
    the other one is; its lower bound one that has them far apart.
    """
    one, two = means
    shared = partial(_overlap, layers=(drops[0].layers, drops[1].layers), floor=floor)
    ends = None
    if counts_unseen:
        apart = one.with_unseen(drops[0].early), two.with_unseen(drops[1].late)
        shapes = [np.where(drop.layers, m.mean, 0.0) for m, drop in zip(means, drops, strict=True)]
        alike = (
            one.with_unseen(_as_large(shapes[1], shapes[0])),
            two.with_unseen(_as_large(shapes[0], shapes[1])),
        )
        most = partial(_largest_overlap, layers=(drops[0].possible, drops[1].possible))
        ends = between(partial(shared, *apart), partial(most, *alike))
    return ImageStatistic(one.images, partial(shared, one, two), ends)


def _as_large(
    shape: Float[ndarray, "layer"], other: Float[ndarray, "layer"]
) -> Float[ndarray, "layer"]:
    """A drop of one shape and another's size."""
    total = float(shape.sum())
    return shape * (float(other.sum()) / total) if total < 0 else other


def _read(means: Means, place: Place, layers: read.Layers, weights: Weights) -> read.Numbers:
    return place(means.curves(weights), layers)


def _overlap(
    one: Means, two: Means, weights: Weights, *, layers: tuple[ndarray, ndarray], floor: float
) -> read.Numbers:
    curves = [
        np.where(kept, mean.curves(weights), 0.0)
        for mean, kept in zip((one, two), layers, strict=True)
    ]
    return read.overlap(*curves, floor=floor)


def _largest_overlap(
    one: Means, two: Means, weights: Weights, *, layers: tuple[ndarray, ndarray]
) -> read.Numbers:
    return read.cross_fitted_overlap(one.halves(weights), two.halves(weights), layers)
