"""Gemma 3: the whole photo in a square, patches averaged into a smaller square."""

from __future__ import annotations

from mmflow_bench.checkpoints.families.layout import (
    ImageLayout,
    ProcessedImage,
    square_side,
    whole_grid,
)
from mmflow_bench.checkpoints.families.record import Family


def pooled_grid(image: ProcessedImage) -> ImageLayout | None:
    side = square_side(getattr(image.config, "mm_tokens_per_image", None))
    pixels = image.model_inputs.get("pixel_values")
    # More than one view are the crops of pan and scan.
    if side is None or pixels is None or pixels.ndim != 4 or len(pixels) != 1:
        return None
    height, width = pixels.shape[2:]
    if height != width or height % side:
        return None
    return whole_grid(image, height=height, width=width, patch_size=height // side)


GEMMA3 = Family(name="gemma3", model_types=("gemma3",), layout=pooled_grid)
