"""The last sub-word of an answer under the knockouts of the first: asked, kept and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from mmflow_bench.interventions.knockout import Method
from mmflow_bench.measurements.knockout_sweep import OfSweep, SweepTable
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.wants import Kept
from mmflow_bench.store.shards import PROBABILITY, Shard, filled

SINGLE_TOKEN = "single-token-answer"
"""Why most samples are left out: first and last piece are the same."""

_COLUMNS = ("base_probability", "knockout_probability")
_SCHEMA = pa.schema(
    [
        filled("sample", pa.string()),
        filled("layer", pa.int64()),
        *(filled(name, pa.float64()) for name in _COLUMNS),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastPiece(OfSweep):
    """The knockouts of a sweep, and what becomes of the last piece of the answer.

    The answer's other pieces stand behind the prompt. Each of them, as the last position before
    them, was the current token of a decoding step: `last` as a target is all of these positions,
    as a source the last position of the prompt alone (paper, App. C; docs/decisions/041).
    """

    measured_by: ClassVar[str] = "mmflow_bench.measurements.last_piece_rows:last_piece_rows"

    @property
    def shard(self) -> Shard:
        ranges = dict.fromkeys(_COLUMNS, PROBABILITY)
        name = f"last-piece.{self.sweep.shard.name}"
        return Shard(name, _SCHEMA, keys=("sample", "layer"), ranges=ranges)

    @property
    def note(self) -> str:
        return ", ".join(filter(None, ["last piece", self.sweep.note]))

    @property
    def is_second_opinion(self) -> bool:
        return self.sweep.is_second_opinion

    @property
    def is_compared(self) -> bool:
        """False: it stands beside the sweep of the first piece, which is compared."""
        return False

    def by(self, method: Method) -> None:
        """None: that two readings of one knockout agree says nothing of how it is done."""

    def table(self, kept: Kept, rows: pa.Table) -> SweepTable:
        """The last piece's probability, clean and knocked out, of every kept answer with one.

        Where references are followed, of the right answers: a reference has pieces of its own.
        """
        if kept.follow is Followed.REFERENCE:
            kept = kept.where(kept.is_correct)
        base, knocked = (kept.matrix(rows, column, kept.layers) for column in _COLUMNS)
        return SweepTable(
            edge=self.sweep.name,
            task=kept.task,
            window=self.sweep.width or 0,
            method=str(self.sweep.method),
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            base_probability=np.array(base[:, 0], float),
            knockout_probability=knocked,
        )
