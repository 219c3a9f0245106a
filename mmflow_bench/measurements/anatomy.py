"""How a checkpoint is built and what a sample becomes in it: asked, kept and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int
from numpy import ndarray

from mmflow_bench.measurements.wants import Kept, Want
from mmflow_bench.store.shards import AT_LEAST_ZERO, Shard, filled

_BUILT = ("heads", "key_value_heads", "tower_layers", "tower_pixels", "patch_pixels")
_TAKEN = "image_positions"
ANATOMY = Shard(
    "anatomy",
    pa.schema(
        [
            filled("sample", pa.string()),
            filled("is_written", pa.bool_()),
            filled("tower", pa.string()),
            *(filled(name, pa.int64()) for name in (*_BUILT, _TAKEN)),
        ]
    ),
    ranges=dict.fromkeys((*_BUILT, _TAKEN), AT_LEAST_ZERO),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnatomyTable:
    """How a checkpoint is built, and how much of it the samples of one task take."""

    task: str
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    is_correct: Bool[ndarray, "sample"]
    """Whether the sample is answered correctly."""
    is_written: bool
    """Whether a program has written its weights, in the place of a released checkpoint."""
    layers: int
    """Depth of the decoder."""
    heads: int
    """Queries of each layer of the decoder."""
    key_value_heads: int
    """Keys and values of each; fewer than queries where they are shared (grouped-query)."""
    tower: str
    """Kind of vision tower as transformers names it, empty without one."""
    tower_layers: int
    tower_pixels: int
    """Height and width of what the tower sees."""
    patch_pixels: int
    """Height and width of a patch."""
    image_positions: Int[ndarray, "sample"]
    """Positions of the sequence that carry image features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy(Want[AnatomyTable]):
    """How the checkpoint is built, and the positions that a sample takes in it."""

    measured_by: ClassVar[str] = "mmflow_bench.measurements.anatomy_rows:anatomy_rows"

    @property
    def shard(self) -> Shard:
        return ANATOMY

    @property
    def name(self) -> str:
        return "anatomy"

    @property
    def asks_wrong_answers(self) -> bool:
        """True: whatever is answered, a sample takes the same positions."""
        return True

    @property
    def needs_mastery(self) -> bool:
        return False

    @property
    def is_compared(self) -> bool:
        return False

    def table(self, kept: Kept, rows: pa.Table) -> AnatomyTable:
        """Of every kept sample; how the checkpoint is built all rows say alike."""
        one: dict[str, Any] = next(iter(rows.to_pylist()), {})
        built = {name: int(one.get(name, 0)) for name in _BUILT}
        return AnatomyTable(
            task=kept.task,
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            is_correct=kept.is_correct,
            is_written=bool(one.get("is_written")),
            layers=kept.layers,
            tower=str(one.get("tower", "")),
            heads=built["heads"],
            key_value_heads=built["key_value_heads"],
            tower_layers=built["tower_layers"],
            tower_pixels=built["tower_pixels"],
            patch_pixels=built["patch_pixels"],
            image_positions=kept.matrix(rows, _TAKEN, 1)[:, 0].astype(int),
        )

    def example(self, task: str, layers: int) -> AnatomyTable:
        """LLaVA-1.5-13b, which one sample is asked."""
        return AnatomyTable(
            task=task,
            question_ids=("example",),
            image_ids=("example",),
            is_correct=np.array([True]),
            is_written=False,
            layers=layers,
            heads=40,
            key_value_heads=40,
            tower="clip_vision_model",
            tower_layers=24,
            tower_pixels=336,
            patch_pixels=14,
            image_positions=np.array([576]),
        )
