"""How curves go together, with depth or with each other; vectorised over draws of images."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

Curves = Float[ndarray, "draw layer"]
Numbers = Float[ndarray, "draw"]

_DIGITS = 9
"""Means of equal numbers differ by the order of a sum, and must be equal in rank."""


def correlation(one: Curves, other: Curves, *, floor: float = 0.0) -> Numbers:
    """Pearson's correlation over layers of every pair of rows.

    NaN where one of them is flat: its values differ by no more than `floor`.
    """
    pair = [np.round(curves, _DIGITS) for curves in (one, other)]
    first, second = (curves - curves.mean(axis=1, keepdims=True) for curves in pair)
    size = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (first * second).sum(axis=1) / size
    is_flat = np.logical_or(*(np.ptp(curves, axis=1) <= floor for curves in pair))
    return np.where(is_flat, np.nan, np.clip(found, -1, 1))


def trend(curves: Curves) -> Numbers:
    """Spearman's rank correlation of every row with its layer; NaN where the row is flat.

    1 where it rises from layer to layer, -1 where it falls; equal values share their mean rank.
    """
    rounded = np.round(curves, _DIGITS)
    layers = np.broadcast_to(np.arange(curves.shape[1], dtype=float), curves.shape)
    return correlation(_ranks(rounded), layers)


def _ranks(curves: Curves) -> Curves:
    """Rank of every value in its row, from 1."""
    is_less = (curves[:, None, :] < curves[:, :, None]).sum(axis=2)
    is_equal = (curves[:, None, :] == curves[:, :, None]).sum(axis=2)
    ranks: Curves = is_less + (is_equal + 1) / 2
    # No number has no rank, and makes the row undefined.
    return np.where(np.isnan(curves).any(axis=1, keepdims=True), np.nan, ranks)
