"""InternVL: the photo stretched over the best-fitting canvas of tiles, then a thumbnail."""

from __future__ import annotations

from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

from mmflow_bench.checkpoints.families.layout import ImageLayout, ProcessedImage, tiled_grids
from mmflow_bench.checkpoints.families.record import Family


def canvas_tiles(image: ProcessedImage) -> ImageLayout | None:
    """The grids of a photo; None where another family's processor has made the pixels."""
    pixels = image.model_inputs.get("pixel_values")
    if pixels is None or pixels.ndim != 4 or not hasattr(image.config, "downsample_ratio"):
        return None
    if len(pixels) == 1:
        return tiled_grids(image, pixels, rows=0, columns=0)
    columns, rows = get_optimal_tiled_canvas(
        (image.height, image.width),
        (pixels.shape[2], pixels.shape[3]),
        image.image_processor.min_patches,
        image.image_processor.max_patches,
    )
    return tiled_grids(image, pixels, rows=rows, columns=columns)


INTERNVL = Family(name="internvl", model_types=("internvl",), layout=canvas_tiles)
