"""What the question's positions say at the end, with something taken away: asked, kept and read.

What a position says are the ten likeliest tokens of its last hidden state (arXiv:2411.18620,
App. D, Eq. 6 and 9); what is taken away is a module in windows of layers, or an edge. The tokens
themselves are not kept, but how many of them stay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.knockout import Edge, Method, Module
from mmflow_bench.measurements.finite import refuse_not_finite
from mmflow_bench.measurements.wants import Kept, Want
from mmflow_bench.store.shards import PROBABILITY, Shard, filled

SIMILARITIES = ("similarity", "position_similarity")
_SCHEMA = pa.schema(
    [
        filled("sample", pa.string()),
        filled("layer", pa.int64()),
        *(filled(name, pa.float64()) for name in SIMILARITIES),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticsTable:
    """How much of what the question says stays, by layer, for the followed samples of a task."""

    without: str
    """A module, `attention` or `mlp`, or an edge as `source->target`."""
    task: str
    window: int
    """Layers of a window: those from `layer` on for a module, those around it for an edge."""
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    """One per sample; equal ids form one cluster."""
    similarity: Float[ndarray, "sample layer"]
    """Jaccard similarity of the tokens of all positions together (Eq. 9): 1 where all stay."""
    position_similarity: Float[ndarray, "sample layer"]
    """The same position by position, averaged over those that say something."""

    def __post_init__(self) -> None:
        """Refuse what is no number, whoever has measured it.

        Raises:
            StoreError: A similarity is NaN or infinite.
        """
        what = f"the question without {self.without} on {self.task}"
        refuse_not_finite(what, self.similarity, self.position_similarity)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionSemantics(Want[SemanticsTable]):
    """What the question's positions say, with one thing taken away around every layer."""

    measured_by: ClassVar[str] = "mmflow_bench.measurements.semantics_rows:semantics_rows"

    without: Module | Edge
    width: int | None = None
    """Layers of a window; what scales with the depth when None (docs/decisions/047)."""

    @classmethod
    def of(cls, without: str, *, width: int | None = None) -> QuestionSemantics:
        """As people write it: `QuestionSemantics.of("mlp")`, `.of("image -> question")`.

        Raises:
            KnockoutError: It is neither a module nor an edge.
        """
        if without in list(Module):
            return cls(without=Module(without), width=width)
        if "->" not in without:
            raise KnockoutError(
                f"a module ({', '.join(Module)}) or an edge as `source->target`, got {without!r}; "
                "write for example `mlp`"
            )
        return cls(without=Edge.parse(without), width=width)

    @property
    def shard(self) -> Shard:
        without = str(self.without).replace("->", "-to-")
        return Shard(
            f"semantics.{without}.w{self.width}",
            _SCHEMA,
            keys=("sample", "layer"),
            ranges=dict.fromkeys(SIMILARITIES, PROBABILITY),
        )

    @property
    def name(self) -> str:
        return f"question without {self.without}"

    @property
    def is_compared(self) -> bool:
        """False: it stands beside curves that are compared."""
        return False

    @property
    def adds_to_readout(self) -> bool:
        """True: of the sweep of an edge nothing is left to compute."""
        return True

    def at(self, width: int) -> QuestionSemantics:
        """The same, in windows of `width` layers unless it has a width of its own."""
        return replace(self, width=width) if self.width is None else self

    def by(self, method: Method) -> None:
        """None: a module that says nothing can be taken away in one way only."""

    def table(self, kept: Kept, rows: pa.Table) -> SemanticsTable:
        """Both similarities of every kept sample, by layer."""
        whole, by_position = (kept.matrix(rows, name, kept.layers) for name in SIMILARITIES)
        return SemanticsTable(
            without=str(self.without),
            task=kept.task,
            window=self.width or 0,
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            similarity=whole,
            position_similarity=by_position,
        )

    def example(self, task: str, layers: int) -> SemanticsTable:
        """One sample of which more and more stays with depth."""
        stays = np.linspace(0, 1, layers)[None]
        return SemanticsTable(
            without=str(self.without),
            task=task,
            window=self.width or 1,
            question_ids=("example",),
            image_ids=("example",),
            similarity=stays,
            position_similarity=stays,
        )
