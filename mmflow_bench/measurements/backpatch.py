"""Image states of a late layer put into an early one: what is asked, kept and read of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from numpy import ndarray

from mmflow_bench.errors import MechanismError
from mmflow_bench.measurements.finite import refuse_not_finite
from mmflow_bench.measurements.wants import Kept, Want
from mmflow_bench.store.shards import PROBABILITY, Shard, filled

_SCHEMA = pa.schema(
    [
        filled("sample", pa.string()),
        filled("prediction", pa.string()),
        filled("is_correct", pa.bool_()),
        filled("reference_probability", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackPatchTable:
    """Answers with the image's late states beside those without, for the samples of one task."""

    task: str
    name: str
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    """One per sample; equal ids form one cluster."""
    is_correct: Bool[ndarray, "sample"]
    """As the model is."""
    is_patched_correct: Bool[ndarray, "sample"]
    """With the late states."""
    base_probability: Float[ndarray, "sample"]
    """Of the reference answer's first tokens, as the model is."""
    patched_probability: Float[ndarray, "sample"]
    """Of the same with the late states."""

    def __post_init__(self) -> None:
        """Refuse what is no number, whoever has measured it.

        Raises:
            StoreError: A probability is NaN or infinite.
        """
        probabilities = (self.base_probability, self.patched_probability)
        refuse_not_finite(f"{self.name} on {self.task}", *probabilities)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackPatch(Want[BackPatchTable]):
    """The answer where image positions have an early layer's input from a late one.

    Both are depths, fractions of the decoder: what enters the layer at depth `late` takes the place
    of what enters the one at depth `early`.
    """

    measured_by: ClassVar[str] = "mmflow_bench.measurements.backpatch_rows:backpatch_rows"

    late: float
    early: float

    def __post_init__(self) -> None:
        if not 0 <= self.early < self.late < 1:
            raise MechanismError(
                "an early depth below a late one, both fractions of the decoder from 0 to 1, got "
                f"{self.early:g} and {self.late:g}"
            )

    def layers(self, count: int) -> tuple[int, int]:
        """The late and the early layer of a decoder of `count` layers, 0-based.

        >>> BackPatch(late=0.5, early=0.1).layers(40)
        (20, 4)
        """
        late, early = (int(depth * count + 1e-9) for depth in (self.late, self.early))
        return late, early

    @property
    def shard(self) -> Shard:
        return Shard(
            f"backpatch.{self.late:g}-to-{self.early:g}",
            _SCHEMA,
            ranges={"reference_probability": PROBABILITY},
        )

    @property
    def name(self) -> str:
        return f"image states from depth {self.late:g} at {self.early:g}"

    def reads_entering(self, layers: int) -> tuple[int]:
        return self.layers(layers)[:1]

    @property
    def asks_wrong_answers(self) -> bool:
        """True: whether it gains accuracy is seen on wrong answers."""
        return True

    @property
    def is_compared(self) -> bool:
        """False: it is an observation about one checkpoint."""
        return False

    def table(self, kept: Kept, rows: pa.Table) -> BackPatchTable:
        """Whether every kept sample is answered correctly, and how probable its reference is.

        A sample whose reference answer begins with no token that the vocabulary knows counts for
        nothing: its probability is zero either way.
        """
        return BackPatchTable(
            task=kept.task,
            name=self.name,
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            is_correct=kept.is_correct,
            is_patched_correct=kept.matrix(rows, "is_correct", 1)[:, 0].astype(bool),
            base_probability=np.array(
                [row["reference_probability"] or 0.0 for row in kept.answers], float
            ),
            patched_probability=kept.matrix(rows, "reference_probability", 1)[:, 0],
        )

    def example(self, task: str, layers: int) -> BackPatchTable:  # noqa: ARG002
        """One sample that is answered either way."""
        return BackPatchTable(
            task=task,
            name=self.name,
            question_ids=("example",),
            image_ids=("example",),
            is_correct=np.array([True]),
            is_patched_correct=np.array([True]),
            base_probability=np.full(1, 0.5),
            patched_probability=np.full(1, 0.6),
        )
