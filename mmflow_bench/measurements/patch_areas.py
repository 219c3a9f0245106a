"""How many patches show what is asked about, and how many only padding: asked, kept and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Int
from numpy import ndarray

from mmflow_bench.measurements.wants import Kept, Want
from mmflow_bench.store.shards import AT_LEAST_ONE, AT_LEAST_ZERO, Shard, filled

PATCH_AREAS = Shard(
    "patch-areas",
    pa.schema(
        [
            filled("sample", pa.string()),
            *(filled(name, pa.int64()) for name in ("patches", "related", "padding")),
        ]
    ),
    ranges={
        **dict.fromkeys(("patches", "related"), AT_LEAST_ONE),
        "padding": AT_LEAST_ZERO,
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaTable:
    """Numbers of patches, for the samples of one task."""

    task: str
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    """One per sample; equal ids form one cluster."""
    patches: Int[ndarray, "sample"]
    """Image positions but newlines."""
    related: Int[ndarray, "sample"]
    padding: Int[ndarray, "sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchAreas(Want[AreaTable]):
    """How many of an image's patches are related, and how many show padding; costs no pass."""

    measured_by: ClassVar[str] = "mmflow_bench.measurements.patch_rows:area_rows"

    @property
    def shard(self) -> Shard:
        return PATCH_AREAS

    @property
    def name(self) -> str:
        return "areas of patches"

    @property
    def is_compared(self) -> bool:
        """False: it is a number of the questions."""
        return False

    def table(self, kept: Kept, rows: pa.Table) -> AreaTable:
        """The numbers of every kept sample that has boxes."""
        found = {row["sample"]: row for row in rows.to_pylist()}
        kept = kept.having(found.keys())
        patches, related, padding = (
            np.array([found[key][name] for key in kept.keys], int)
            for name in ("patches", "related", "padding")
        )
        return AreaTable(
            task=kept.task,
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            patches=patches,
            related=related,
            padding=padding,
        )

    def example(self, task: str, layers: int) -> AreaTable:  # noqa: ARG002
        """One image of which a quarter is related."""
        return AreaTable(
            task=task,
            question_ids=("example",),
            image_ids=("example",),
            patches=np.array([4]),
            related=np.array([1]),
            padding=np.array([0]),
        )
