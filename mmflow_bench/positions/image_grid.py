"""From boxes in a photo to patches, by geometric overlap after the processor's own resize and crop.

The published program paints the box red, resizes and asks which patches hold a pure red pixel, so
thin boxes and border patches depend on how the resampling kernel rounds; overlap of rectangles does
not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from mmflow_bench.checkpoints.families.layout import Axis, ImageLayout
from mmflow_bench.inputs.samples import Box

_ROUNDING = 1e-6
"""Patches that an edge touches by less count as touched by no area: floating-point noise."""


def patches_overlapping(boxes: Iterable[Box], layout: ImageLayout) -> set[int]:
    """Patches of every grid that share an area with at least one box.

    They are counted from the first image position. A box that is cropped away overlaps none.
    """
    return {
        grid.token(row, column)
        for box in boxes
        for grid in layout.grids
        for row in _cells(box.y, box.height, grid.vertical, grid.patch_size)
        for column in _cells(box.x, box.width, grid.horizontal, grid.patch_size)
    }


def _cells(start: float, extent: float, axis: Axis, patch_size: int) -> range:
    count = axis.processed // patch_size
    first = (start * axis.scale + axis.offset) / patch_size
    last = ((start + extent) * axis.scale + axis.offset) / patch_size
    return range(max(0, math.floor(first + _ROUNDING)), min(count, math.ceil(last - _ROUNDING)))
