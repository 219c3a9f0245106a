"""One edge knocked out around every layer: what is asked, kept and read of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from numpy import ndarray

from mmflow_bench.interventions.knockout import Edge, Method, window_width
from mmflow_bench.measurements.finite import refuse_not_finite
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.wants import Kept, Want
from mmflow_bench.positions.roles import Role
from mmflow_bench.store.sealed import identity_digest
from mmflow_bench.store.shards import PROBABILITY, Shard, filled

REFERENCE_CEILING = 1.0
"""Relative change at which that of a reference answer is cut: one that has hardly a chance may
gain it a thousandfold (docs/decisions/017)."""

_LONGEST_EDGE = 96
"""Letters of an edge in the name of a file, of which 255 are the most that systems allow."""

_SCHEMA = pa.schema(
    [
        filled("sample", pa.string()),
        filled("layer", pa.int64()),
        filled("knockout_probability", pa.float64()),
        ("reference_probability", pa.float64()),
    ]
)
_COUNTERFACTUAL_SCHEMA = pa.schema(
    [
        *_SCHEMA,
        filled("counterfactual_probability", pa.float64()),
        filled("is_flipped", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTable:
    """One edge knocked out around every layer, for the samples of one task that are followed.

    What is followed is the model's own first answer token on correctly answered samples, or the
    reference answer on all of them.
    """

    edge: str
    """Written `source->target`."""
    task: str
    window: int
    """Width of the knocked-out window, in layers."""
    method: str
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    """One per sample; equal ids form one cluster."""
    answer_token_ids: tuple[int, ...] = ()
    """The first token of the answer that is followed."""
    base_probability: Float[ndarray, "sample"]
    """Clean probability of what is followed."""
    knockout_probability: Float[ndarray, "sample layer"]
    """The same with the window centred on `layer` knocked out."""
    ceiling: float | None = None
    """Largest relative change that counts; None for any."""
    counterfactual_probability: Float[ndarray, "sample layer"] | None = None
    """By the counterfactual method, probability of the first token that the model answers with when
    it sees the donor's image."""
    is_flipped: Bool[ndarray, "sample layer"] | None = None
    """Whether that token has become the likeliest."""

    def __post_init__(self) -> None:
        """Refuse what is no number, whoever has measured it.

        Raises:
            StoreError: A probability is NaN or infinite.
        """
        probabilities = (self.base_probability, self.knockout_probability)
        refuse_not_finite(f"{self.edge} on {self.task}", *probabilities)

    @property
    def relative_change(self) -> Float[ndarray, "sample layer"]:
        """(knocked out - clean) / clean, a fraction; negative is a drop (paper, Sec. 4).

        Why this and not another measure: docs/decisions/004.
        """
        base = self.base_probability[:, None]
        change: Float[ndarray, "sample layer"] = (self.knockout_probability - base) / base
        return change if self.ceiling is None else np.minimum(change, self.ceiling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep(Want[SweepTable]):
    """One edge knocked out around every layer, by one method, in windows of one width."""

    measured_by: ClassVar[str] = "mmflow_bench.measurements.knockout_rows:knockout_rows"

    edge: Edge
    width: int | None = None
    """Odd; what scales with the depth when None (docs/decisions/001)."""
    of_forty: int | None = None
    """A width other than the usual one that scales too: odd, in layers of 40 (docs/decisions/037).
    It is given instead of `width`."""
    method: Method = Method.MASKED
    is_place: bool = field(default=False, compare=False)
    """Whether it is read only for where something is hit, which no other method is asked."""

    @classmethod
    def of(cls, edge: str, *, width: int | None = None, method: str = Method.MASKED) -> Sweep:
        """A sweep as people write it: `Sweep.of("image -> question", width=9)`."""
        return cls(edge=Edge.parse(edge), width=width, method=Method(method))

    @property
    def shard(self) -> Shard:
        kind, schema = "sweep", _SCHEMA
        if self.method is Method.COUNTERFACTUAL:
            kind, schema = "counterfactual", _COUNTERFACTUAL_SCHEMA
        name = f"{kind}.{_file_name(self.edge)}.{self.method}.w{self.width}"
        probabilities = (one for one in schema.names if one.endswith("_probability"))
        ranges = dict.fromkeys(probabilities, PROBABILITY)
        return Shard(name, schema, keys=("sample", "layer"), ranges=ranges)

    @property
    def name(self) -> str:
        return str(self.edge)

    @property
    def note(self) -> str:
        return str(self.method) if self.is_second_opinion else ""

    @property
    def is_second_opinion(self) -> bool:
        return self.method is not Method.MASKED

    @property
    def is_compared(self) -> bool:
        """The paper's method alone, in windows that scale with the depth."""
        return self.method is Method.MASKED and self._has_usual_width

    @property
    def _has_usual_width(self) -> bool:
        return self.width is None and self.of_forty is None

    def scaled(self, layers: int) -> Sweep:
        if self.of_forty is None:
            return self
        width = window_width(layers, of_forty=self.of_forty)
        return replace(self, width=width, of_forty=None)

    def at(self, width: int) -> Sweep:
        """The same, in windows of `width` layers unless it has a width of its own."""
        return replace(self, width=width) if self.width is None else self

    def by(self, method: Method) -> Sweep | None:
        """The same by another method.

        Itself where it only says where something is hit. None for other widths, at which sizes are
        what is claimed, and where captions stand in for the image, which no other image can
        replace (docs/decisions/010).
        """
        if self.is_place:
            return self
        is_caption = Role.CAPTION in self.edge.sources + self.edge.targets
        has_other = self._has_usual_width and not is_caption
        return replace(self, method=method) if has_other else None

    def key(self, sample: str, donor: str | None) -> str:
        """By the counterfactual method the rows depend on the donor too."""
        return f"{sample}+{donor}" if self.method is Method.COUNTERFACTUAL else sample

    def table(self, kept: Kept, rows: pa.Table) -> SweepTable:
        """The followed probability, clean and knocked out, of every kept sample."""
        is_reference = kept.follow is Followed.REFERENCE
        column = "reference_probability" if is_reference else "knockout_probability"
        tokens, clean = kept.followed()
        other = flipped = None
        if self.method is Method.COUNTERFACTUAL:
            other = kept.matrix(rows, "counterfactual_probability", kept.layers)
            flipped = kept.matrix(rows, "is_flipped", kept.layers).astype(bool)
        return SweepTable(
            edge=str(self.edge),
            task=kept.task,
            window=self.width or 0,
            method=str(self.method),
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            answer_token_ids=tokens,
            base_probability=np.array(clean, float),
            knockout_probability=kept.matrix(rows, column, kept.layers),
            ceiling=REFERENCE_CEILING if is_reference else None,
            counterfactual_probability=other,
            is_flipped=flipped,
        )

    def example(self, task: str, layers: int) -> SweepTable:
        """One sample whose answer every knockout halves."""
        is_exchanged = self.method is Method.COUNTERFACTUAL
        return SweepTable(
            edge=str(self.edge),
            task=task,
            window=self.width or 1,
            method=str(self.method),
            question_ids=("example",),
            image_ids=("example",),
            answer_token_ids=(0,),
            base_probability=np.ones(1),
            knockout_probability=np.full((1, layers), 0.5),
            counterfactual_probability=np.full((1, layers), 0.5) if is_exchanged else None,
            is_flipped=np.ones((1, layers), bool) if is_exchanged else None,
        )


def _file_name(edge: Edge) -> str:
    """An edge as a part of a file's name; a hash stands for a union of very many roles."""
    name = str(edge).replace("->", "-to-")
    return name if len(name) <= _LONGEST_EDGE else identity_digest({"edge": name})[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfSweep(Want[SweepTable]):
    """Another reading of a sweep's knockouts; asked in its windows, for the same samples' keys."""

    sweep: Sweep

    @property
    def name(self) -> str:
        return self.sweep.name

    def scaled(self, layers: int) -> OfSweep:
        return replace(self, sweep=self.sweep.scaled(layers))

    def at(self, width: int) -> OfSweep:
        """The same, in windows of `width` layers unless it has a width of its own."""
        return replace(self, sweep=self.sweep.at(width))

    def key(self, sample: str, donor: str | None) -> str:
        """As the sweep's own rows have it."""
        return self.sweep.key(sample, donor)

    def example(self, task: str, layers: int) -> SweepTable:
        """As the sweep's own."""
        return self.sweep.example(task, layers)
