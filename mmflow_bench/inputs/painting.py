"""The published rule for related patches: paint the boxes red and look where red is left.

Boxes are painted on the photo, the photo goes through the same padding, resizing and tiling, and a
patch is related if one of its pixels is pure red. The filter mixes colours along the edges, so thin
boxes and border patches depend on the photo around them; overlap of rectangles does not
(docs/decisions/013).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from mmflow_bench.checkpoints.aliases import ImageProcessor
from mmflow_bench.checkpoints.families.layout import ImageLayout, PatchGrid
from mmflow_bench.inputs.samples import Box

RED = (255, 0, 0)


def painted_patches(
    image: Image.Image,
    boxes: Iterable[Box],
    *,
    image_processor: ImageProcessor,
    layout: ImageLayout,
) -> tuple[int, ...]:
    """Patches of every grid that hold a pure red pixel, counted from the first image position.

    The image processor is the one that made the pixels; boxes are in pixels of the photo.
    """
    painted = image.copy()
    draw = ImageDraw.Draw(painted)
    for box in boxes:
        # It includes its last row and column, as the published program's does.
        draw.rectangle((box.x, box.y, box.x + box.width, box.y + box.height), fill=RED)
    colours = image_processor(
        images=painted, do_rescale=False, do_normalize=False, return_tensors="np"
    )["pixel_values"][0]
    views = colours if colours.ndim == 4 else colours[None]
    is_red = (views == np.array(RED)[:, None, None]).all(axis=1)
    return tuple(sorted(token for grid in layout.grids for token in _red_tokens(is_red, grid)))


def _red_tokens(is_red: Bool[np.ndarray, "view height width"], grid: PatchGrid) -> Iterable[int]:
    high, wide = grid.rows * grid.patch_size, grid.columns * grid.patch_size
    seen = is_red[grid.view, grid.top : grid.top + high, grid.left : grid.left + wide]
    size = grid.patch_size
    patches = seen.reshape(grid.rows, size, grid.columns, size).any(axis=(1, 3))
    return (grid.token(int(row), int(column)) for row, column in np.argwhere(patches))
