"""Idefics 3 and SmolVLM: the photo stretched over a canvas of tiles, then as a whole."""

from __future__ import annotations

import math

from mmflow_bench.checkpoints.families.layout import ImageLayout, ProcessedImage, tiled_grids
from mmflow_bench.checkpoints.families.record import Family


def split_tiles(image: ProcessedImage) -> ImageLayout | None:
    pixels = image.model_inputs.get("pixel_values")
    if pixels is None or pixels.ndim != 5 or len(pixels) != 1:
        return None
    if not isinstance(getattr(image.config, "scale_factor", None), int):
        return None
    # With a single view the photo is not split.
    rows, columns = (0, 0) if pixels.shape[1] == 1 else _split(image)
    return tiled_grids(image, pixels[0], rows=rows, columns=columns)


def _split(image: ProcessedImage) -> tuple[int, int]:
    """Rows and columns of tiles, by the processor's two resizes.

    First the longer side becomes `longest_edge` and the other is rounded up to an even number; then
    both are rounded up to whole tiles, the shorter one after it was scaled with the longer.
    """
    settings = image.image_processor
    longest, tile = settings.size["longest_edge"], settings.max_image_size["longest_edge"]
    ratio = image.width / image.height
    if ratio >= 1:
        width, height = longest, int(longest / ratio)
        height += height % 2
    else:
        width, height = int(longest * ratio), longest
        width += width % 2
    ratio = width / height
    if ratio >= 1:
        columns = math.ceil(width / tile)
        return math.ceil(int(columns * tile / ratio) / tile), columns
    rows = math.ceil(height / tile)
    return rows, math.ceil(int(rows * tile * ratio) / tile)


IDEFICS3 = Family(
    name="idefics3",
    model_types=("idefics3", "smolvlm"),
    layout=split_tiles,
    projector="connector.modality_projection",
)
