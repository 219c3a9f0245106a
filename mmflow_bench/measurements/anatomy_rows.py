"""How a checkpoint is built, read off its configuration, and what one sample takes in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.measurements.anatomy import ANATOMY, Anatomy
from mmflow_bench.measurements.sample_rows import SampleAtWork
from mmflow_bench.measurements.wants import Rows


def anatomy_rows(wants: Sequence[Anatomy], work: SampleAtWork) -> Rows:
    """The row of one sample."""
    checkpoint, encoded = work.checkpoint, work.encoded
    placeholder = checkpoint.parts.image_token_id
    row: dict[str, object] = {
        "sample": work.job.key_of(wants[0]),
        "is_written": checkpoint.spec.kind == "built",
        "image_positions": int((encoded.input_ids == placeholder).sum()) if placeholder else 0,
        **_built(checkpoint),
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
