"""The same question without its image, or with another one: what is asked, kept and read of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from numpy import ndarray

from mmflow_bench.measurements.finite import refuse_not_finite
from mmflow_bench.measurements.knockout_sweep import REFERENCE_CEILING
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.wants import Kept, Want
from mmflow_bench.store.shards import PROBABILITY, Shard, filled

_SCHEMA = pa.schema(
    [
        filled("sample", pa.string()),
        filled("prediction", pa.string()),
        filled("is_correct", pa.bool_()),
        filled("blind_probability", pa.float64()),
        ("reference_probability", pa.float64()),
    ]
)
_RANGES = dict.fromkeys(("blind_probability", "reference_probability"), PROBABILITY)


class Blinding(StrEnum):
    """How the image is taken away from a question (docs/decisions/028)."""

    REMOVED = "removed"
    """No position after the image attends to it, in any layer."""
    EXCHANGED = "exchanged"
    """The donor's image stands in its place (docs/decisions/009)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindTable:
    """Answers without the image beside those with it, for the samples of one task."""

    task: str
    blinding: Blinding
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    """One per sample; equal ids form one cluster."""
    is_correct: Bool[ndarray, "sample"]
    """With the image."""
    is_blind_correct: Bool[ndarray, "sample"]
    """Without it."""
    is_followed: Bool[ndarray, "sample"]
    """Whether the sample enters the curves of the task."""
    base_probability: Float[ndarray, "sample"]
    """Of the answer that is followed, with the image."""
    blind_probability: Float[ndarray, "sample"]
    """Of the same answer without it."""
    ceiling: float | None = None
    """Largest relative change that counts; None for any."""

    def __post_init__(self) -> None:
        """Refuse what is no number, whoever has measured it.

        Raises:
            StoreError: A probability is NaN or infinite.
        """
        probabilities = (self.base_probability, self.blind_probability)
        refuse_not_finite(f"image {self.blinding} on {self.task}", *probabilities)

    @property
    def relative_change(self) -> Float[ndarray, "sample"]:
        """(without - with the image) / with it, a fraction, as knockouts have it."""
        base = self.base_probability
        change: Float[ndarray, "sample"] = (self.blind_probability - base) / base
        return change if self.ceiling is None else np.minimum(change, self.ceiling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind(Want[BlindTable]):
    """The answer to a question whose image is taken away."""

    measured_by: ClassVar[str] = "mmflow_bench.measurements.blind_rows:blind_rows"

    blinding: Blinding

    @property
    def shard(self) -> Shard:
        return Shard(f"blind.{self.blinding}", _SCHEMA, ranges=_RANGES)

    @property
    def name(self) -> str:
        return f"image {self.blinding}"

    @property
    def asks_wrong_answers(self) -> bool:
        """True: an accuracy without the image is compared with that over all samples."""
        return True

    @property
    def is_compared(self) -> bool:
        """False: it stands beside curves that are compared."""
        return False

    def key(self, sample: str, donor: str | None) -> str:
        """With another image the rows depend on it too."""
        return f"{sample}+{donor}" if self.blinding is Blinding.EXCHANGED else sample

    def table(self, kept: Kept, rows: pa.Table) -> BlindTable:
        """Whether every kept sample is answered correctly, and how probable its answer is."""
        is_reference = kept.follow is Followed.REFERENCE
        column = "reference_probability" if is_reference else "blind_probability"
        is_correct = kept.is_correct
        return BlindTable(
            task=kept.task,
            blinding=self.blinding,
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            is_correct=is_correct,
            is_blind_correct=kept.matrix(rows, "is_correct", 1)[:, 0].astype(bool),
            is_followed=np.ones_like(is_correct) if is_reference else is_correct,
            base_probability=np.array(kept.followed()[1], float),
            blind_probability=kept.matrix(rows, column, 1)[:, 0],
            ceiling=REFERENCE_CEILING if is_reference else None,
        )

    def example(self, task: str, layers: int) -> BlindTable:  # noqa: ARG002
        """One sample that is not answered without its image."""
        return BlindTable(
            task=task,
            blinding=self.blinding,
            question_ids=("example",),
            image_ids=("example",),
            is_correct=np.array([True]),
            is_blind_correct=np.array([False]),
            is_followed=np.array([True]),
            base_probability=np.ones(1),
            blind_probability=np.full(1, 0.5),
        )
