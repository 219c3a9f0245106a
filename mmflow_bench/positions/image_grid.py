"""From boxes in a photo to patches, by geometric overlap after the processor's own resize and crop.

The published program paints the box red, resizes and asks which patches hold a pure red pixel, so
thin boxes and border patches depend on how the resampling kernel rounds; overlap of rectangles does
not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from mmflow_bench.inputs.geometry import Axis, ImageGeometry
from mmflow_bench.inputs.samples import Box

_ROUNDING = 1e-6
"""Patches that an edge touches by less count as touched by no area: floating-point noise."""


def patches_overlapping(boxes: Iterable[Box], geometry: ImageGeometry) -> set[int]:
    """Patches that share an area with at least one box, counted row by row from the top left.

    A box that is cropped away overlaps none.
    """
    return {
        row * geometry.columns + column
        for box in boxes
        for row in _cells(box.y, box.height, geometry.vertical, geometry)
        for column in _cells(box.x, box.width, geometry.horizontal, geometry)
    }


def _cells(start: float, extent: float, axis: Axis, geometry: ImageGeometry) -> range:
    count = axis.processed // geometry.patch_size
    first = (start * axis.scale + axis.offset) / geometry.patch_size
    last = ((start + extent) * axis.scale + axis.offset) / geometry.patch_size
    return range(max(0, math.floor(first + _ROUNDING)), min(count, math.ceil(last - _ROUNDING)))
