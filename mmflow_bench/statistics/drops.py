"""Two drops of one curve told apart: where the first one ends, and what lies beyond it.

Windows of several layers reach further than the layers that are hit, so that the end of the first
drop is read off the curve of single layers (docs/decisions/023). As in `curves`, every function
takes one curve per row and gives one number per row, and drops are negative.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from mmflow_bench.statistics.curves import Curves, Numbers

Halves = tuple[Curves, Curves]
"""The same curves on the two halves of the images."""
Ends = Int[ndarray, "draw"]
"""Last layer of the first drop; -1 where there is none."""
Places = Bool[ndarray, "draw layer"]


def end_of_first_drop(single: Curves, *, lowest: int, gap: int, floor: float) -> Ends:
    """The last layer of the first drop of a curve of single layers.

    A layer is hit when its drop is at least half of the deepest among the lowest layers. The first
    drop goes from the first layer hit to the last that is at most `gap` layers from the one before.

    Args:
        single: Curves of single layers.
        lowest: Number of layers among which the first drop begins.
        gap: In layers.
        floor: Drops that are no deeper are none.
    """
    deepest = single[:, :lowest].min(axis=1, keepdims=True)
    is_hit = (single <= deepest / 2) & (deepest < -floor)
    ends: Ends = np.where(deepest[:, 0] < -floor, is_hit[:, :lowest].argmax(axis=1), -1)
    for layer in range(single.shape[1]):
        if layer > ends.max() + gap:
            break
        goes_on = is_hit[:, layer] & (ends >= 0) & (ends < layer) & (layer <= ends + gap)
        ends = np.where(goes_on, layer, ends)
    return ends


def cross_fitted_minimum_in(halves: Halves, places: tuple[Places, Places]) -> Numbers:
    """Depth of the minimum among some layers, cross-fitted; 0 where there are none.

    Which layers count is found, like the minimum, on the half that the value is not read on.
    """
    there = _read(halves[1], _deepest(halves[0], places[0]), places[0])
    back = _read(halves[0], _deepest(halves[1], places[1]), places[1])
    return np.asarray((there + back) / 2)


def cross_fitted_prominence_of(
    halves: Halves, early: tuple[Places, Places], late: tuple[Places, Places]
) -> Numbers:
    """Height of the valley between two drops over the shallower of them, cross-fitted.

    One drop lies in the layers `early`, the other in `late`, all after them; where there are no
    such layers, there is one drop and nothing between two.
    """
    there = _prominence(halves[0], halves[1], early[0], late[0])
    back = _prominence(halves[1], halves[0], early[1], late[1])
    return np.asarray((there + back) / 2)


def _deepest(curves: Curves, places: Places) -> Int[ndarray, "draw"]:
    return np.asarray(np.where(places, curves, np.inf).argmin(axis=1))


def _read(curves: Curves, layers: Int[ndarray, "draw"], places: Places) -> Numbers:
    return np.where(places.any(axis=1), curves[np.arange(len(curves)), layers], 0.0)


def _prominence(located: Curves, curves: Curves, early: Places, late: Places) -> Numbers:
    rows, layer = np.arange(len(curves)), np.arange(curves.shape[1])[None, :]
    one, two = _deepest(located, early), _deepest(located, late)
    is_between = (layer >= one[:, None]) & (layer <= two[:, None])
    valley = np.where(is_between, located, -np.inf).argmax(axis=1)
    height = curves[rows, valley] - np.maximum(curves[rows, one], curves[rows, two])
    return np.where(early.any(axis=1) & late.any(axis=1), height, 0.0)
