"""Qwen2-VL and later: one grid of any size, squares of patches merged into one position."""

from __future__ import annotations

from mmflow_bench.checkpoints.families.layout import ImageLayout, ProcessedImage, whole_grid
from mmflow_bench.checkpoints.families.record import Family


def merged_grid(image: ProcessedImage) -> ImageLayout | None:
    sizes = image.model_inputs.get("image_grid_thw")
    merge = getattr(image.config.vision_config, "spatial_merge_size", None)
    if sizes is None or len(sizes) != 1 or not isinstance(merge, int):
        return None
    frames, rows, columns = sizes[0].tolist()
    patch = image.config.vision_config.patch_size
    if frames != 1:
        return None
    return whole_grid(image, height=rows * patch, width=columns * patch, patch_size=patch * merge)


QWEN_VL = Family(
    name="qwen_vl",
    model_types=("qwen2_vl", "qwen2_5_vl", "qwen3_vl"),
    layout=merged_grid,
    projector="visual.merger",
    merges_neighbours=True,
)
