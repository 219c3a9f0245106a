"""How a checkpoint is built, read off its configuration, and what one sample takes in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mmflow_bench.checkpoints.families.layout import ImageLayout
from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.inputs.encoding import EncodedSample
from mmflow_bench.measurements.anatomy import ANATOMY, Anatomy
from mmflow_bench.measurements.sample_rows import SampleAtWork
from mmflow_bench.measurements.wants import Rows
from mmflow_bench.positions.resolve import patches_overlapping


def anatomy_rows(wants: Sequence[Anatomy], work: SampleAtWork) -> Rows:
    """The row of one sample."""
    checkpoint, encoded = work.checkpoint, work.encoded
    placeholder = checkpoint.parts.image_token_id
    row: dict[str, object] = {
        "sample": work.job.key_of(wants[0]),
        "is_written": checkpoint.spec.kind == "built",
        "image_positions": int((encoded.input_ids == placeholder).sum()) if placeholder else 0,
        **_built(checkpoint),
        **_patches(encoded),
    }
    return {ANATOMY: [row]}


def _built(checkpoint: LoadedCheckpoint) -> dict[str, object]:
    text: Any = checkpoint.parts.text_config
    heads = _whole(text, "num_attention_heads")
    tower: Any = getattr(checkpoint.model.config, "vision_config", None)
    return {
        "heads": heads,
        "key_value_heads": _whole(text, "num_key_value_heads") or heads,
        "tower": str(getattr(tower, "model_type", "")),
        # Families differ in which of the two names they have.
        "tower_layers": _whole(tower, "num_hidden_layers") or _whole(tower, "depth"),
        "tower_pixels": _whole(tower, "image_size"),
        "patch_pixels": _whole(tower, "patch_size"),
    }


def _whole(config: Any, name: str) -> int:
    """A number of a configuration, the first where each axis has one; 0 where it has none."""
    value = getattr(config, name, None)
    if isinstance(value, list | tuple) and value:
        value = value[0]
    return value if isinstance(value, int) else 0


def _patches(encoded: EncodedSample) -> dict[str, object]:
    """Patches of the whole photo, tiles left out, and those that the boxes touch."""
    if encoded.layout is None or not encoded.layout.grids:
        return {"patches": 0, "related_patches": 0}
    grid = replace(encoded.layout.grids[0], first_token=0, row_tokens=None)
    related = patches_overlapping(encoded.boxes, ImageLayout(grids=(grid,)))
    return {"patches": grid.rows * grid.columns, "related_patches": len(related)}
