"""The layout of photos that are seen once, as a grid of patches: how pixels get there.

Read from the processor's own settings and from transformers' own size functions: pad to a square,
resize, crop around the centre, in the order in which the processor does them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from transformers.image_transforms import get_resize_output_image_size, get_size_with_aspect_ratio
from transformers.image_utils import ChannelDimension, SizeDict, get_image_size_for_max_height_width

from mmflow_bench.checkpoints.aliases import ImageProcessor
from mmflow_bench.checkpoints.families.layout import Axis, ImageLayout, PatchGrid, ProcessedImage


def single_grid(image: ProcessedImage) -> ImageLayout | None:
    """One grid over one view of the photo; a class token may stand before it."""
    pixels = image.model_inputs.get("pixel_values")
    patch_size = getattr(image.config.vision_config, "patch_size", None)
    if pixels is None or pixels.ndim != 4 or len(pixels) != 1 or not isinstance(patch_size, int):
        return None
    axes = _axes(image.image_processor, width=image.width, height=image.height)
    if axes is None or [axes[1].processed, axes[0].processed] != list(pixels.shape[2:]):
        return None
    grid = PatchGrid(horizontal=axes[0], vertical=axes[1], patch_size=patch_size)
    # One position more is the class token, which some strategies keep in front.
    leading = image.image_tokens - grid.rows * grid.columns
    if leading not in (0, 1):
        return None
    return ImageLayout(grids=(replace(grid, first_token=leading),))


def _axes(image_processor: ImageProcessor, *, width: int, height: int) -> tuple[Axis, Axis] | None:
    """The horizontal and the vertical axis; None if the processor does something unknown."""
    left, top, wide, high = 0, 0, width, height
    pads = bool(getattr(image_processor, "do_pad", None))
    if pads and not hasattr(image_processor, "pad_to_square"):
        # Elsewhere `do_pad` fills up to the largest image of a batch: no change for one image,
        # unless a size is given.
        if getattr(image_processor, "pad_size", None) is not None:
            return None
    elif pads:
        side = max(width, height)
        left, top, wide, high = (side - width) // 2, (side - height) // 2, side, side
    resized = (high, wide)
    if image_processor.do_resize:
        found = _resized(image_processor.size, high, wide)
        if found is None:
            return None
        resized = found
    crop: tuple[int | None, int | None] = (None, None)
    if getattr(image_processor, "do_center_crop", None):
        crop = (image_processor.crop_size["height"], image_processor.crop_size["width"])
    return (
        _axis(width, left, wide, resized[1], crop[1]),
        _axis(height, top, high, resized[0], crop[0]),
    )


def _axis(original: int, before: int, padded: int, resized: int, crop: int | None) -> Axis:
    scale = resized / padded
    processed = resized if crop is None else crop
    # Negative where a centre crop pads a smaller image.
    start = (resized - processed) // 2
    return Axis(original=original, scale=scale, offset=before * scale - start, processed=processed)


def _resized(size: SizeDict, height: int, width: int) -> tuple[int, int] | None:
    """Height and width after the resize that a processor's `size` asks for."""
    original = (height, width)
    shortest, longest = size.get("shortest_edge"), size.get("longest_edge")
    if shortest and longest:
        high, wide = get_size_with_aspect_ratio(original, shortest, longest)
    elif shortest:
        # transformers reads nothing but the shape; a broadcast scalar has it without the memory.
        image = np.broadcast_to(np.uint8(0), (3, height, width))
        high, wide = get_resize_output_image_size(
            image, size=shortest, default_to_square=False, input_data_format=ChannelDimension.FIRST
        )
    elif size.get("max_height") and size.get("max_width"):
        high, wide = get_image_size_for_max_height_width(
            original, size["max_height"], size["max_width"]
        )
    elif size.get("height") and size.get("width"):
        high, wide = size["height"], size["width"]
    else:
        return None
    return int(high), int(wide)
