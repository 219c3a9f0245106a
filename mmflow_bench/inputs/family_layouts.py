"""Layouts of families that merge patches, and of those that cut a photo into tiles of their own.

Each is recognised by what the model's configuration says that it does with patches, never by the
number of positions alone: sixty-four positions may be a square of patches or as many queries of a
resampler.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

from mmflow_bench.inputs.layout import Axis, ImageLayout, PatchGrid, ProcessedImage


def merged_grid(image: ProcessedImage) -> ImageLayout | None:
    """Qwen2-VL and later: one grid of any size, squares of patches merged into one position."""
    sizes = image.model_inputs.get("image_grid_thw")
    merge = getattr(image.config.vision_config, "spatial_merge_size", None)
    if sizes is None or len(sizes) != 1 or not isinstance(merge, int):
        return None
    frames, rows, columns = sizes[0].tolist()
    patch = image.config.vision_config.patch_size
    if frames != 1:
        return None
    return _whole(image, height=rows * patch, width=columns * patch, patch_size=patch * merge)


def row_grid(image: ProcessedImage) -> ImageLayout | None:
    """Pixtral and Mistral 3: one grid of any size, as the processor says how large it is."""
    sizes = image.model_inputs.get("image_sizes")
    pixels = image.model_inputs.get("pixel_values")
    if sizes is None or pixels is None or pixels.ndim != 4 or len(sizes) != 1 or len(pixels) != 1:
        return None
    height, width = sizes[0].tolist()
    patch = image.config.vision_config.patch_size * getattr(image.config, "spatial_merge_size", 1)
    return _whole(image, height=height, width=width, patch_size=patch)


def pooled_grid(image: ProcessedImage) -> ImageLayout | None:
    """Gemma 3: the whole photo in a square, patches averaged into a smaller square."""
    side = _square(getattr(image.config, "mm_tokens_per_image", None))
    pixels = image.model_inputs.get("pixel_values")
    # More than one view are the crops of pan and scan.
    if side is None or pixels is None or pixels.ndim != 4 or len(pixels) != 1:
        return None
    height, width = pixels.shape[2:]
    if height != width or height % side:
        return None
    return _whole(image, height=height, width=width, patch_size=height // side)


def split_tiles(image: ProcessedImage) -> ImageLayout | None:
    """Idefics 3 and SmolVLM: the photo stretched over a canvas of tiles, then as a whole."""
    pixels = image.model_inputs.get("pixel_values")
    if pixels is None or pixels.ndim != 5 or len(pixels) != 1:
        return None
    if not isinstance(getattr(image.config, "scale_factor", None), int):
        return None
    # With a single view the photo is not split.
    rows, columns = (0, 0) if pixels.shape[1] == 1 else _split(image)
    return _tiled(image, pixels[0], rows=rows, columns=columns)


def canvas_tiles(image: ProcessedImage) -> ImageLayout | None:
    """InternVL: the photo stretched over the best-fitting canvas of tiles, then a thumbnail."""
    pixels = image.model_inputs.get("pixel_values")
    if pixels is None or pixels.ndim != 4 or not hasattr(image.config, "downsample_ratio"):
        return None
    if len(pixels) == 1:
        return _tiled(image, pixels, rows=0, columns=0)
    columns, rows = get_optimal_tiled_canvas(
        (image.height, image.width),
        (pixels.shape[2], pixels.shape[3]),
        image.image_processor.min_patches,
        image.image_processor.max_patches,
    )
    return _tiled(image, pixels, rows=rows, columns=columns)


FAMILY_LAYOUTS = (merged_grid, row_grid, pooled_grid, split_tiles, canvas_tiles)


def _whole(
    image: ProcessedImage, *, height: int, width: int, patch_size: int
) -> ImageLayout | None:
    """One grid over the photo stretched to `height` x `width` pixels."""
    grid = PatchGrid(
        horizontal=_stretched(image.width, width, start=0, length=width),
        vertical=_stretched(image.height, height, start=0, length=height),
        patch_size=patch_size,
    )
    if grid.rows * grid.columns != image.image_tokens:
        return None
    return ImageLayout(grids=(grid,))


def _tiled(image: ProcessedImage, views: Tensor, *, rows: int, columns: int) -> ImageLayout | None:
    """Tiles row by row, then the whole photo; every view is a square of as many positions."""
    count, height, width = views.shape[0], views.shape[-2], views.shape[-1]
    per_view, rest = divmod(image.image_tokens, count)
    side = _square(per_view)
    if rest or side is None or height != width or height % side or rows * columns + 1 != count:
        return None
    places = [(row, column, rows, columns) for row in range(rows) for column in range(columns)] + [
        (0, 0, 1, 1)
    ]
    grids = tuple(
        PatchGrid(
            horizontal=_stretched(image.width, across * width, start=column * width, length=width),
            vertical=_stretched(image.height, down * height, start=row * height, length=height),
            patch_size=height // side,
            first_token=number * per_view,
            view=number,
        )
        for number, (row, column, down, across) in enumerate(places)
    )
    return ImageLayout(grids=grids)


def _stretched(original: int, whole: int, *, start: int, length: int) -> Axis:
    """The photo stretched over `whole` pixels, seen from `start` on for `length`."""
    return Axis(original=original, scale=whole / original, offset=float(-start), processed=length)


def _split(image: ProcessedImage) -> tuple[int, int]:
    """Rows and columns of tiles, by the processor's two resizes.

    First the longer side becomes `longest_edge` and the other is rounded up to an even number; then
    both are rounded up to whole tiles, the shorter one after it was scaled with the longer.
    """
    settings: Any = image.image_processor
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


def _square(count: object) -> int | None:
    """The side of a square of so many positions."""
    if not isinstance(count, int) or count < 1:
        return None
    side = math.isqrt(count)
    return side if side * side == count else None
