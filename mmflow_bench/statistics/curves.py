"""What is read off a curve over layers: minima, places, overlaps; vectorised over draws.

Every function takes one curve per row and gives one number per row. Drops are negative. A place is
a layer index, NaN where the curve has no drop above `floor` to have a place.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

Curves = Float[ndarray, "draw layer"]
Numbers = Float[ndarray, "draw"]
Layers = Bool[ndarray, "layer"]

PLATEAU = 0.9
"""Layers whose drop is at least this share of the deepest belong to the peak."""


def cross_fitted_minimum(first: Curves, second: Curves) -> Numbers:
    """Depth of the minimum, located on one half of the images and read on the other, averaged.

    The minimum of a noisy curve is biased downwards; where the minimum is says nothing about the
    noise of the other half (docs/decisions/003).
    """
    rows = np.arange(len(first))
    there = second[rows, first.argmin(axis=1)]
    back = first[rows, second.argmin(axis=1)]
    return np.asarray((there + back) / 2)


def plateau_midpoint(curves: Curves, *, floor: float) -> Numbers:
    """Middle of the run of layers around the minimum that are nearly as deep.

    A transfer in one layer is a plateau as wide as the knocked-out window, centred on that layer:
    its middle is the layer that is hit, while the minimum itself falls anywhere on the plateau.
    """
    deepest = curves.min(axis=1)
    place = curves.argmin(axis=1)[:, None]
    layer = np.arange(curves.shape[1])[None, :]
    is_shallow = curves > PLATEAU * deepest[:, None]
    before = np.where(is_shallow & (layer < place), layer, -1).max(axis=1)
    after = np.where(is_shallow & (layer > place), layer, curves.shape[1]).min(axis=1)
    return np.where(deepest < -floor, (before + after) / 2, np.nan)


def shown_drops(
    mean: Float[ndarray, "layer"],
    error: Float[ndarray, "layer"],
    *,
    times: float,
    floor: float,
) -> Layers:
    """Layers whose drop is shown beyond noise, with the neighbours that belong to it.

    A drop is shown where it is deeper than `times` its standard error, and reaches as far as it
    stays deeper than `floor` and one standard error. What noise makes of layers without any drop is
    no part of it.
    """
    beyond = np.maximum(0.0, -mean - floor)
    is_shown = beyond > times * error
    is_deep = beyond > error
    edges = np.diff(np.concatenate([[False], is_deep, [False]]).astype(int))
    kept = np.zeros_like(is_shown)
    for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        kept[start:stop] = is_shown[start:stop].any()
    return kept


def drop_weighted_centre(curves: Curves, layers: Layers, *, floor: float) -> Numbers:
    """Mean layer, weighted by the drop: sum(l * -c) / sum(-c) over the layers of the drop.

    With their signs, so that noise at a layer without a drop pulls to neither side.
    """
    drops = np.where(layers, -curves, 0.0)
    total = drops.sum(axis=1)
    has_drop = drops.max(axis=1) > floor
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (drops @ np.arange(curves.shape[1])) / np.where(total > 0, total, np.nan)
    # Weights of both signs could put it beyond all layers.
    return np.where(has_drop, np.clip(centre, 0, curves.shape[1] - 1), np.nan)


def overlap(first: Curves, second: Curves, *, floor: float) -> Numbers:
    """Shared area of two drops, each scaled to area one: 0 when disjoint, 1 when equal."""
    shares = [_drops(curves, floor) for curves in (first, second)]
    totals = [drops.sum(axis=1, keepdims=True) for drops in shares]
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = [drops / total for drops, total in zip(shares, totals, strict=True)]
    return np.asarray(np.minimum(*scaled).sum(axis=1))


def cross_fitted_overlap(
    first: tuple[Curves, Curves], second: tuple[Curves, Curves], layers: tuple[Layers, Layers]
) -> Numbers:
    """The overlap of two drops, where half of the images say which of them is the smaller.

    Noise makes the smaller of two shares too small; the share that the other half takes for the
    smaller is at least as large as the smaller one. With their signs, so that noise at layers
    without a drop adds nothing.

    Args:
        first: Curves of either half of the images.
        second: Those of the other drop.
        layers: Where either may have a drop.
    """
    shares = []
    for halves, kept in zip((first, second), layers, strict=True):
        drops = [np.where(kept, -curves, 0.0) for curves in halves]
        totals = [drop.sum(axis=1, keepdims=True) for drop in drops]
        shares.append([d / np.where(t > 0, t, np.nan) for d, t in zip(drops, totals, strict=True)])
    (one, other), (one_too, other_too) = shares
    there = np.where(one <= one_too, other, other_too).sum(axis=1)
    back = np.where(other <= other_too, one, one_too).sum(axis=1)
    return np.asarray((there + back) / 2)


def support(curves: Curves, *, floor: float) -> tuple[Numbers, Numbers]:
    """First and last layer whose drop is at least half of the deepest."""
    deepest = curves.min(axis=1)
    is_deep = curves <= deepest[:, None] / 2
    first = is_deep.argmax(axis=1)
    last = curves.shape[1] - 1 - is_deep[:, ::-1].argmax(axis=1)
    has_drop = deepest < -floor
    return np.where(has_drop, first, np.nan), np.where(has_drop, last, np.nan)


def onset(curves: Curves, *, floor: float) -> Numbers:
    """First index at which a rising curve reaches half of its maximum."""
    highest = curves.max(axis=1)
    first = (curves >= highest[:, None] / 2).argmax(axis=1)
    return np.where(highest > floor, first, np.nan)


def _drops(curves: Curves, floor: float) -> Curves:
    return np.where(curves < -floor, -curves, 0.0)
