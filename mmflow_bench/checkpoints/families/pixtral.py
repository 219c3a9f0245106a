"""Mistral 3 and others with Pixtral's tower: one grid of any size, rows as long as the photo."""

from __future__ import annotations

from mmflow_bench.checkpoints.families.layout import ImageLayout, ProcessedImage, whole_grid
from mmflow_bench.checkpoints.families.record import Family


def row_grid(image: ProcessedImage) -> ImageLayout | None:
    sizes = image.model_inputs.get("image_sizes")
    pixels = image.model_inputs.get("pixel_values")
    if sizes is None or pixels is None or pixels.ndim != 4 or len(sizes) != 1 or len(pixels) != 1:
        return None
    height, width = sizes[0].tolist()
    patch = image.config.vision_config.patch_size * getattr(image.config, "spatial_merge_size", 1)
    return whole_grid(image, height=height, width=width, patch_size=patch)


PIXTRAL = Family(name="pixtral", model_types=("mistral3",), layout=row_grid)
