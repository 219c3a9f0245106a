"""Norms of the features that patches show, and how massive they become: asked, kept and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.measurements.wants import Kept, Want
from mmflow_bench.positions.sinks import PAPER_THRESHOLD
from mmflow_bench.store.shards import AT_LEAST_ZERO, Shard, filled

_LISTS = ("tower", "projected", "massive")
PATCH_NORMS = Shard(
    "patch-norms",
    pa.schema(
        [
            filled("sample", pa.string()),
            filled("threshold", pa.float64()),
            *(filled(name, pa.list_(pa.float64())) for name in _LISTS),
        ]
    ),
    ranges=dict.fromkeys(("threshold", *_LISTS), AT_LEAST_ZERO),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NormTable:
    """Norms of patches, for the samples of one task; images may have different numbers of them."""

    task: str
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    """One per sample; equal ids form one cluster."""
    threshold: Float[ndarray, "sample"]
    """Norm before the projector above which a patch is a sink."""
    tower: tuple[Float[ndarray, "_"], ...]
    """Of what enters the projector, by sample."""
    projected: tuple[Float[ndarray, "_"], ...]
    """Of what leaves it."""
    massive: tuple[Float[ndarray, "_"], ...]
    """How massive each patch is in mid-decoder where the first position is massive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchNorms(Want[NormTable]):
    """The norms of every patch of an image; one more pass of the vision tower."""

    measured_by: ClassVar[str] = "mmflow_bench.measurements.patch_rows:norm_rows"

    @property
    def shard(self) -> Shard:
        return PATCH_NORMS

    @property
    def name(self) -> str:
        return "norms of patches"

    @property
    def is_compared(self) -> bool:
        """False: a fine-tune leaves the tower as it is, and its sinks too."""
        return False

    def table(self, kept: Kept, rows: pa.Table) -> NormTable:
        """The norms of every kept sample that has them."""
        found = {row["sample"]: row for row in rows.to_pylist()}
        kept = kept.having(found.keys())
        of_sample = [found[key] for key in kept.keys]
        tower, projected, massive = (
            tuple(np.array(row[name], float) for row in of_sample) for name in _LISTS
        )
        return NormTable(
            task=kept.task,
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            threshold=np.array([row["threshold"] for row in of_sample], float),
            tower=tower,
            projected=projected,
            massive=massive,
        )

    def example(self, task: str, layers: int) -> NormTable:  # noqa: ARG002
        """One image of two patches, one of which is a sink everywhere."""
        return NormTable(
            task=task,
            question_ids=("example",),
            image_ids=("example",),
            threshold=np.array([PAPER_THRESHOLD]),
            tower=(np.array([20.0, 90.0]),),
            projected=(np.array([20.0, 90.0]),),
            massive=(np.array([0.0, 100.0]),),
        )
