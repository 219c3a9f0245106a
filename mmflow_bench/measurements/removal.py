"""Image positions that are gone from a layer on: what is asked, kept and read of it (App. F)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from numpy import ndarray

from mmflow_bench.measurements.finite import refuse_not_finite
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.wants import Kept, Want
from mmflow_bench.store.shards import AT_LEAST_ONE, PROBABILITY, Shard, filled

PARTS = 8
"""The paper removes the image from the last 5, 10, ..., 35 of 40 layers: in eighths."""

_COUNTED = ("first_layer", "operations", "cache_bytes")
_SCHEMA = pa.schema(
    [
        filled("sample", pa.string()),
        filled("first_layer", pa.int64()),
        filled("prediction", pa.string()),
        filled("is_correct", pa.bool_()),
        filled("removed_probability", pa.float64()),
        ("reference_probability", pa.float64()),
        filled("operations", pa.int64()),
        filled("cache_bytes", pa.int64()),
    ]
)
_RANGES = {
    **dict.fromkeys(("removed_probability", "reference_probability"), PROBABILITY),
    **dict.fromkeys(_COUNTED, AT_LEAST_ONE),
}


class Removed(StrEnum):
    """Which positions are removed."""

    IMAGE = "image"
    """All that carry image features, newline positions included."""
    UNRELATED = "unrelated"
    """Of these all that show nothing of the objects asked about."""


def first_layers(layers: int) -> tuple[int, ...]:
    """From which layers on the image is removed, one after the other; a half is rounded up.

    >>> first_layers(40), first_layers(12), first_layers(2)
    ((5, 10, 15, 20, 25, 30, 35), (2, 3, 5, 6, 8, 9, 11), (1,))
    """
    found = {(2 * part * layers + PARTS) // (2 * PARTS) for part in range(1, PARTS)}
    return tuple(sorted(layer for layer in found if 0 < layer < layers))


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalTable:
    """Answers without the image from some layers on, for the samples of one task.

    The last column of every matrix is that of the depth itself: of answers with the whole image.
    """

    task: str
    removed: Removed
    depth: int
    """Layers of the decoder."""
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    """One per sample; equal ids form one cluster."""
    is_followed: Bool[ndarray, "sample"]
    """Whether the sample enters the curves of the task."""
    is_correct: Bool[ndarray, "sample layer"]
    """Of the whole answer, generated without the positions."""
    probability: Float[ndarray, "sample layer"]
    """Of the first token of the answer that is followed."""
    operations: Float[ndarray, "sample layer"]
    """Additions and multiplications of the decoder for prompt and answer."""
    cache_bytes: Float[ndarray, "sample layer"]
    """Keys and values that are kept at the end of the answer."""

    @property
    def layers(self) -> tuple[int, ...]:
        """The first layer without the positions, ascending; at last the number of layers."""
        return (*first_layers(self.depth), self.depth)

    def __post_init__(self) -> None:
        """Refuse what is no number, whoever has measured it.

        Raises:
            StoreError: A number is NaN or infinite.
        """
        numbers = (self.probability, self.operations, self.cache_bytes)
        refuse_not_finite(f"{self.removed} removal on {self.task}", *numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRemoval(Want[RemovalTable]):
    """The answer to a question whose image is gone from each of `first_layers` on."""

    measured_by: ClassVar[str] = "mmflow_bench.measurements.removal_rows:removal_rows"

    removed: Removed = Removed.IMAGE

    @property
    def shard(self) -> Shard:
        return Shard(
            f"removal.{self.removed}", _SCHEMA, keys=("sample", "first_layer"), ranges=_RANGES
        )

    @property
    def name(self) -> str:
        return f"{self.removed} removal"

    @property
    def asks_wrong_answers(self) -> bool:
        """True: an accuracy is over all samples."""
        return True

    @property
    def is_compared(self) -> bool:
        """False: it tells what can be left out, not where information flows."""
        return False

    def table(self, kept: Kept, rows: pa.Table) -> RemovalTable:
        """Correctness, probability and cost of every kept sample, by the first layer without."""
        is_reference = kept.follow is Followed.REFERENCE
        width = len(first_layers(kept.layers)) + 1

        def matrix(column: str) -> Float[ndarray, "sample layer"]:
            return kept.matrix(rows, column, width)

        return RemovalTable(
            task=kept.task,
            removed=self.removed,
            depth=kept.layers,
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            is_followed=np.ones_like(kept.is_correct) if is_reference else kept.is_correct,
            is_correct=matrix("is_correct").astype(bool),
            probability=matrix("reference_probability" if is_reference else "removed_probability"),
            operations=matrix("operations"),
            cache_bytes=matrix("cache_bytes"),
        )

    def example(self, task: str, layers: int) -> RemovalTable:
        """One sample that is answered without its image from any layer on."""
        width = len(first_layers(layers)) + 1
        cost = np.linspace(0.5, 1.0, width)[None]
        return RemovalTable(
            task=task,
            removed=self.removed,
            depth=layers,
            question_ids=("example",),
            image_ids=("example",),
            is_followed=np.array([True]),
            is_correct=np.ones((1, width), bool),
            probability=np.ones((1, width)),
            operations=cost,
            cache_bytes=cost,
        )
