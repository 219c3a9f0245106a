"""Several edges cut at once, each in depths of its own: what is asked, kept and read of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from numpy import ndarray

from mmflow_bench.interventions.knockout import Method
from mmflow_bench.interventions.stretches import Stretch
from mmflow_bench.measurements.finite import refuse_not_finite
from mmflow_bench.measurements.knockout_sweep import REFERENCE_CEILING
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.wants import Kept, Want
from mmflow_bench.store.sealed import identity_digest
from mmflow_bench.store.shards import PROBABILITY, Shard, filled

_SCHEMA = pa.schema(
    [
        filled("sample", pa.string()),
        filled("knockout_probability", pa.float64()),
        filled("is_likeliest", pa.bool_()),
        ("reference_probability", pa.float64()),
        filled("is_reference_likeliest", pa.bool_()),
    ]
)
_RANGES = dict.fromkeys(("knockout_probability", "reference_probability"), PROBABILITY)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPathsTable:
    """The followed answer with some edges cut, for the samples of one task that are followed."""

    task: str
    name: str
    """What is cut."""
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    """One per sample; equal ids form one cluster."""
    base_probability: Float[ndarray, "sample"]
    """Clean probability of what is followed."""
    knockout_probability: Float[ndarray, "sample"]
    """The same with the edges cut."""
    is_likeliest: Bool[ndarray, "sample"]
    """Whether what is followed is then the likeliest first token, and no other is as likely."""
    ceiling: float | None = None
    """Largest relative change that counts; None for any."""

    def __post_init__(self) -> None:
        """Refuse what is no number, whoever has measured it.

        Raises:
            StoreError: A probability is NaN or infinite.
        """
        probabilities = (self.base_probability, self.knockout_probability)
        refuse_not_finite(f"{self.name} on {self.task}", *probabilities)

    @property
    def relative_change(self) -> Float[ndarray, "sample"]:
        """(knocked out - clean) / clean, a fraction; negative is a drop."""
        base = self.base_probability
        change: Float[ndarray, "sample"] = (self.knockout_probability - base) / base
        return change if self.ceiling is None else np.minimum(change, self.ceiling)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPaths(Want[CutPathsTable]):
    """The answer's probability when all edges of some stretches are cut in one pass."""

    measured_by: ClassVar[str] = "mmflow_bench.measurements.cut_path_rows:cut_path_rows"

    stretches: tuple[Stretch, ...]
    method: Method = Method.MASKED

    def __post_init__(self) -> None:
        # What is cut has one name, in whichever order it is listed.
        object.__setattr__(self, "stretches", tuple(sorted({*self.stretches}, key=str)))

    @property
    def shard(self) -> Shard:
        # Names of many edges would be too long for a file's.
        digest = identity_digest({"stretches": [str(one) for one in self.stretches]})
        return Shard(f"cut.{digest[:32]}.{self.method}", _SCHEMA, ranges=_RANGES)

    @property
    def name(self) -> str:
        return ", ".join(map(str, self.stretches))

    @property
    def note(self) -> str:
        return str(self.method) if self.method is not Method.MASKED else ""

    @property
    def is_compared(self) -> bool:
        """False: what two checkpoints are compared by are the curves of single edges."""
        return False

    def by(self, method: Method) -> None:
        """None: two cuts of one attention weight have no one meaning by the other methods."""

    def table(self, kept: Kept, rows: pa.Table) -> CutPathsTable:
        """The followed probability, clean and cut, of every kept sample."""
        is_reference = kept.follow is Followed.REFERENCE
        column = "reference_probability" if is_reference else "knockout_probability"
        likeliest = "is_reference_likeliest" if is_reference else "is_likeliest"
        return CutPathsTable(
            task=kept.task,
            name=self.name,
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            base_probability=np.array(kept.followed()[1], float),
            knockout_probability=kept.matrix(rows, column, 1)[:, 0],
            is_likeliest=kept.matrix(rows, likeliest, 1)[:, 0].astype(bool),
            ceiling=REFERENCE_CEILING if is_reference else None,
        )

    def example(self, task: str, layers: int) -> CutPathsTable:  # noqa: ARG002
        """One sample whose answer is half as likely without these edges."""
        return CutPathsTable(
            task=task,
            name=self.name,
            question_ids=("example",),
            image_ids=("example",),
            base_probability=np.full(1, 0.9),
            knockout_probability=np.full(1, 0.45),
            is_likeliest=np.array([True]),
        )
